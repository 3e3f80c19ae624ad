"""The table: for each entry of torch's database how we do it, or why not, one file a subject."""

from benchmarks.conformance.entries import (
    arithmetic,
    elementary,
    fft,
    index,
    layout,
    linalg,
    losses,
    masked,
    nn,
    random,
    reduce,
)
from benchmarks.conformance.entries.adapter import Absent, Entry

__all__ = ["TABLE", "Absent", "Entry"]

TABLE: dict[str, dict[str, Entry | Absent]] = {
    module.__name__.rpartition(".")[2]: module.ENTRIES
    for module in (
        arithmetic,
        elementary,
        layout,
        index,
        reduce,
        linalg,
        fft,
        nn,
        losses,
        random,
        masked,
    )
}
