"""Verdicts over all entries, their counts, and the page that lists them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.conformance.check import Finding
from benchmarks.conformance.entries.adapter import Absent, Entry

__all__ = ["Result", "counts", "write"]

INTRODUCTION = """# Conformance with PyTorch's operator database

Written by `python -m benchmarks.conformance --markdown docs/conformance.md`; do not edit. The
database is `op_db` of `torch.testing._internal.common_methods_invocations`, PyTorch's own test
table: it brings sample inputs for each of its entries. Where we have the function, or a short
expression of functions (in {table}), both run on every sample, in float64 and
float32, and where the entry has them in int64 and complex128. Compared are shapes, values, the
dtype of the result and, in the two real types, the gradients of a random weighting of the results
for all inputs (of the real and the imaginary part, where the result is complex). Where float32
results differ by more than rounding, torch's float64 results of the same numbers decide. Of an
entry with more than 200 samples 200 are taken.

- *present*: every sample agrees, but for those that we leave out on purpose (listed below);
- *incomplete*: what we do agrees, but some sample is refused with an error, or there is a value
  without a gradient;
- *wrong*: some sample differs in value, dtype, shape or gradient;
- *missing*: no such function here.

"""


@dataclass
class Result:
    """What is known of one entry of torch's table."""

    name: str
    subject: str
    differentiable: bool
    entry: Entry | Absent | None
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """Why the entry is not here, or nothing."""
        if self.entry is None:
            return "not yet in the table"
        if isinstance(self.entry, Absent):
            return self.entry.reason
        names = [f.missing for f in self.findings.values() if f.missing]
        return f"no {names[0]}" if names else ""

    def gathered(self, what: str) -> Counter[str]:
        """Messages of a kind over all dtypes, each with its dtype."""
        return Counter(
            {
                f"{dtype}: {message}": n
                for dtype, finding in self.findings.items()
                for message, n in getattr(finding, what).items()
            }
        )

    @property
    def verdict(self) -> str:
        """One of present, incomplete, wrong, missing."""
        if self.missing:
            return "missing"
        if self.gathered("wrong"):
            return "wrong"
        if self.gathered("refused") or not sum(f.n_agree for f in self.findings.values()):
            return "incomplete"
        return "incomplete" if self.forward_only else "present"

    @property
    def forward_only(self) -> bool:
        """Whether torch has gradients that were not compared."""
        compared = sum(f.n_gradients for f in self.findings.values())
        ran = isinstance(self.entry, Entry) and not self.entry.shapes_only
        return ran and self.differentiable and not compared


VERDICTS = ("present", "incomplete", "wrong", "missing")


def counts(results: Iterable[Result]) -> Iterator[str]:
    """Lines of a table: verdicts of differentiable and other entries."""
    results = list(results)
    yield "| entries | number | " + " | ".join(VERDICTS) + " |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    rows = {
        "differentiable in PyTorch": [r for r in results if r.differentiable],
        "others": [r for r in results if not r.differentiable],
    }
    for name, some in rows.items():
        found = Counter(r.verdict for r in some)
        yield f"| {name} | {len(some)} | " + " | ".join(str(found[v]) for v in VERDICTS) + " |"
    present = [r for r in results if r.verdict == "present"]
    ran = [f for r in results for f in r.findings.values()]
    one = sum(isinstance(r.entry, Entry) and not r.entry.composed for r in present)
    yield ""
    yield (
        f"Of the {len(present)} present, {one} are one function of ours and {len(present) - one} a "
        f"short expression. {sum(f.n_agree for f in ran):,} of {sum(f.n_samples for f in ran):,} "
        f"samples agree; in {sum(f.n_gradients for f in ran):,} of them gradients were compared."
    )


def by_subject(results: Iterable[Result]) -> Mapping[str, list[Result]]:
    """The results in groups."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.subject, []).append(result)
    return groups


def listing(title: str, results: Iterable[Result], what: str) -> Iterator[str]:
    """A section that gives each entry with its messages, by subject."""
    results = list(results)
    yield f"\n## {title} ({len(results)})\n"
    for subject, some in by_subject(results).items():
        yield f"### {subject}\n"
        for result in some:
            messages = (
                [result.missing]
                if what == "missing"
                else [clean(m) for m in list(result.gathered(what))[:2]]
            )
            rest = "no gradient" if result.forward_only else "no sample ran"
            yield f"- `{result.name}`: " + "; ".join(messages or [rest])
        yield ""


def clean(message: str) -> str:
    """A message that Markdown shows as it is."""
    return message.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("`", "'")


def write(path: Path, results: list[Result], machine: str) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        Of the Markdown file.
    results : list of Result
        All entries.
    machine : str
        What it ran on and with, one line.
    """
    table = "`benchmarks/conformance/entries/`"
    lines = [INTRODUCTION.replace("{table}", table) + machine + "\n"]
    lines += counts(results)
    lines += listing("Wrong", (r for r in results if r.verdict == "wrong"), "wrong")
    lines += listing("Incomplete", (r for r in results if r.verdict == "incomplete"), "refused")
    lines += listing(
        "Samples left out on purpose", (r for r in results if r.gathered("left_out")), "left_out"
    )
    missing = [r for r in results if r.verdict == "missing"]
    lines += listing("Missing, differentiable", (r for r in missing if r.differentiable), "missing")
    lines += listing("Missing, others", (r for r in missing if not r.differentiable), "missing")
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
