"""Whether bfloat16 would be faster on this machine: PyTorch's products in it beside float32.

The first column is PyTorch's time in bfloat16, the second its time in float32; ours has no bfloat16
(docs/decisions/0006-bfloat16.md). A ratio above 1 would speak for it.
"""

from collections.abc import Iterator

from benchmarks.runner import Row, best_times

try:
    import torch
except ImportError:
    torch = None


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Products of square matrices."""
    if torch is None:
        return
    for n in (256, 1024):
        a, b = torch.randn(n, n), torch.randn(n, n)
        c, d = a.bfloat16(), b.bfloat16()
        calls = {"float32": lambda a=a, b=b: a @ b, "bfloat16": lambda c=c, d=d: c @ d}
        best = best_times(calls, seconds)
        yield Row(
            f"PyTorch's matrix product {n}x{n} in bfloat16",
            best["bfloat16"] * 1e3,
            "ms",
            "float32",
            best["float32"] * 1e3,
            best["float32"] / best["bfloat16"],
            gflops=2e-9 * n**3 / best["bfloat16"],
        )
