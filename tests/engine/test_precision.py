"""The choice of a precision, and its reasons."""

import pytest

from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.train.precision import choose_precision


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("flags : fpu avx2 fma", "no instructions for bfloat16"),
        (
            "flags : avx512f avx512_bf16 amx_bf16",
            "no bfloat16 kernels for the processor's avx512_bf16",
        ),
        (None, "no instructions for bfloat16"),
    ],
)
def test_float32_is_taken_and_the_reason_is_given(tmp_path, flags, reason):
    path = tmp_path / "cpuinfo"
    if flags:
        path.write_text(flags)
    chosen = choose_precision(cpuinfo=path)
    assert chosen.name == "float32"
    assert reason in chosen.reason
    with pytest.raises(RecipeError, match=reason):
        choose_precision("bfloat16", path)
    assert choose_precision("float32", path).reason == "asked for"
    with pytest.raises(RecipeError, match="expected auto, float32 or bfloat16"):
        choose_precision("half", path)
