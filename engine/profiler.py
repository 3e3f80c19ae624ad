"""Where the time of a computation goes: every op call and every gradient rule, with its cost."""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldgrad.engine import shapes
from fieldgrad.engine._core import Op, Tensor
from fieldgrad.engine.transforms import Transform, entered

__all__ = ["Profile", "Row", "profile"]


@dataclass
class _Span:
    """One call: what, when in nanoseconds, and how much of it was spent in calls inside it."""

    name: str
    start: int
    stop: int = 0
    inside: int = 0
    nbytes: int = 0
    flops: int = 0
    shapes: str = ""


@dataclass(frozen=True)
class Row:
    """What the calls of one op cost together.

    Parameters
    ----------
    name : str
        The op; or "backward of" it: its gradient rule, without the ops that the rule calls.
    count : int
        Number of calls.
    seconds : float
        Time spent, without what other rows count.
    nbytes : int
        Bytes of the arrays that were read and written; 0 for views.
    flops : int
        Additions and multiplications that the definition needs; 0 where they are not counted.
    """

    name: str
    count: int
    seconds: float
    nbytes: int
    flops: int


class Profile:
    """What `profile` found.

    Attributes
    ----------
    seconds : float
        Time of the block.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._spans: list[_Span] = []

    def rows(self) -> list[Row]:
        """Add up the calls of each op.

        Returns
        -------
        list of Row
            The costliest first.
        """
        groups: dict[str, list[_Span]] = {}
        for span in self._spans:
            groups.setdefault(span.name, []).append(span)
        rows = [
            Row(
                name,
                len(spans),
                sum(s.stop - s.start - s.inside for s in spans) * 1e-9,
                sum(s.nbytes for s in spans),
                sum(s.flops for s in spans),
            )
            for name, spans in groups.items()
        ]
        return sorted(rows, key=lambda row: -row.seconds)

    def table(self, n_rows: int | None = None) -> str:
        """Lay the rows out for reading.

        Parameters
        ----------
        n_rows : int, optional
            Show the costliest so many; all by default.

        Returns
        -------
        str
            A table with a line for each op and one for what lies between the ops.
        """
        rows = self.rows()
        between = self.seconds - sum(row.seconds for row in rows)
        lines = [
            f"{'op':<32}{'count':>8}{'ms':>10}{'%':>6}{'MB':>10}{'GB/s':>8}"
            f"{'MFLOP':>10}{'GFLOP/s':>9}"
        ]
        for row in [*rows[:n_rows], Row("between the ops", 0, between, 0, 0)]:
            per_second = 1e-9 / row.seconds if row.seconds > 0 else 0.0
            lines.append(
                f"{row.name:<32}{row.count or '':>8}{row.seconds * 1e3:>10.3f}"
                f"{100 * row.seconds / self.seconds if self.seconds else 0:>6.1f}"
                + (f"{row.nbytes / 1e6:>10.3f}" if row.nbytes else " " * 10)
                + (f"{row.nbytes * per_second:>8.2f}" if row.nbytes else " " * 8)
                + (f"{row.flops / 1e6:>10.3f}" if row.flops else "")
                + (f"{row.flops * per_second:>9.2f}" if row.flops else "")
            )
        lines.append(f"{'in all':<32}{sum(r.count for r in rows):>8}{self.seconds * 1e3:>10.3f}")
        return "\n".join(line.rstrip() for line in lines)

    def __str__(self) -> str:
        return self.table()

    def write_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a file that a browser shows as a time line (chrome://tracing, ui.perfetto.dev).

        Parameters
        ----------
        path : str or os.PathLike
            Where; the format is JSON.
        """
        first = min((s.start for s in self._spans), default=0)
        events = [
            {
                "name": s.name,
                "ph": "X",
                "ts": (s.start - first) / 1e3,
                "dur": (s.stop - s.start) / 1e3,
                "pid": os.getpid(),
                "tid": threading.get_native_id(),
                "args": {"shapes": s.shapes, "bytes": s.nbytes, "flops": s.flops},
            }
            for s in self._spans
        ]
        Path(path).write_text(json.dumps({"traceEvents": events}), encoding="utf-8")


class _Profiler(Transform):
    """Measures the op calls and the rules of this thread."""

    observes = True

    def __init__(self, spans: list[_Span]) -> None:
        self.spans = spans
        self.open: list[_Span] = []

    def begin(self, name: str) -> _Span:
        """Start to measure something."""
        span = _Span(name, time.perf_counter_ns())
        self.open.append(span)
        return span

    def end(self) -> None:
        """Stop to measure what was begun last."""
        now = time.perf_counter_ns()
        span = self.open.pop()
        span.stop = now
        if self.open:
            self.open[-1].inside += now - span.start
        self.spans.append(span)

    def call(self, op: Op, inputs: tuple[Tensor | None, ...], attributes: dict[str, Any]) -> Any:
        """Measure an op call."""
        span = self.begin(op.name)
        try:
            out = op.apply(inputs, attributes)
        finally:
            self.end()
        outputs: Sequence[Tensor] = out if op.several else (out,)
        given = [x for x in inputs if x is not None]
        span.shapes = ", ".join(str(x.shape) for x in given)
        if not op.view:
            span.nbytes = sum(x.data.nbytes for x in (*given, *outputs))
            span.flops = _flops(op, given, outputs, attributes)
        return out

    def rule(self, op: Op, entering: bool) -> None:
        """Measure a gradient rule."""
        if entering:
            self.begin(f"backward of {op.name}")
        else:
            self.end()


def _flops(
    op: Op, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: dict[str, Any]
) -> int:
    if op.name in FLOPS:
        return int(FLOPS[op.name](inputs, outputs[0], attributes))
    if op.shape is None:
        return outputs[0].size
    return inputs[0].size if op.shape in (shapes.reduction, shapes.extremum) else 0


def _contraction(inputs: Sequence[Tensor], out: Tensor, attributes: dict[str, Any]) -> int:
    terms = attributes["subscripts"].partition("->")[0].split(",")
    sizes = {
        a: n
        for term, x in zip(terms, inputs, strict=True)
        for a, n in zip(term, x.shape, strict=True)
    }
    return len(inputs) * math.prod(sizes.values())


# Additions and multiplications of ops that make sums of products, from their definition: a faster
# algorithm does with less.
FLOPS: dict[str, Callable[[Sequence[Tensor], Tensor, dict[str, Any]], int]] = {
    "matmul": lambda xs, out, _: 2 * out.size * xs[0].shape[-1],
    "linear": lambda xs, out, _: 2 * out.size * xs[0].shape[-1],
    "contract": _contraction,
    "conv": lambda xs, out, _: 2 * out.size * math.prod(xs[1].shape[1:]),
    "conv_transpose": lambda xs, out, _: 2 * xs[0].size * math.prod(xs[1].shape[1:]),
    "conv_weight": lambda xs, out, _: 2 * xs[1].size * math.prod(out.shape[1:]),
    "cdist": lambda xs, out, _: 3 * out.size * xs[0].shape[-1],
    "gru": lambda xs, out, _: 2 * xs[0].size * xs[1].shape[-1],
    "lstm": lambda xs, out, _: 2 * xs[0].size * xs[1].shape[-1],
}


@contextmanager
def profile(trace: str | os.PathLike[str] | None = None) -> Iterator[Profile]:
    """Measure the ops that this thread calls inside the block, forward and backward.

    Parameters
    ----------
    trace : str or os.PathLike, optional
        Write a time line for chrome://tracing or ui.perfetto.dev to this file at the end.

    Yields
    ------
    Profile
        After the block ``print`` shows it as a table: for each op its calls, time, bytes and
        arithmetic.

    Notes
    -----
    Measuring costs some microseconds per call, which count as time between the ops. Bytes are those
    of inputs and outputs; arithmetic is counted for elementwise ops (one per element), reductions
    and sums of products. A gradient rule written in ops shows up as these ops, and with its own
    time as "backward of" its op; one that calls kernels shows up there with all of its time.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([[1.0, 2.0]], requires_grad=True)
    >>> with fg.profile() as found:
    ...     (x @ fg.ones((2, 3))).sum().backward()
    >>> [(row.name, row.count, row.flops) for row in found.rows() if row.name == "matmul"]
    [('matmul', 2, 24)]
    """
    found = Profile()
    profiler = _Profiler(found._spans)
    begin = time.perf_counter_ns()
    try:
        with entered(profiler):
            yield found
    finally:
        found.seconds = (time.perf_counter_ns() - begin) * 1e-9
        if trace is not None:
            found.write_trace(trace)
