"""Results as text: a table for each suite, and what was asked beside what is."""

from collections.abc import Iterable, Iterator, Sequence

from gradstep.bench.peers import OURS
from gradstep.bench.row import DISTURBED, Row
from gradstep.bench.suites.scaling import fits
from gradstep.bench.suites.step import FASTEST

HOW_TO_READ = (
    "times are medians; a ratio is a time over gradstep's of the same round: above 1,\n"
    "gradstep is faster; of `traffic`, which only moves the bytes, it is the share of\n"
    "what memory allows. [quartiles]; ~ where they are too far apart for a ratio, or\n"
    "others were at work on this machine."
)


def closing(rows: Sequence[Row]) -> Iterator[str]:
    """Return the lines below all tables."""
    yield from ("", HOW_TO_READ)
    yield from absences(rows)
    yield from verdicts(rows)


def lines(row: Row) -> Iterator[str]:
    """Return the lines of a row: a head, and one for each contestant."""
    loud = f"; others used {row.others:.2f} CPUs" * (row.others > DISTURBED)
    plural = "s" * (row.threads > 1)
    yield f"  {row.subject}: {row.case}, {row.threads} thread{plural}{loud}"
    for name, (_, middle, _) in row.seconds.items():
        text = f"    {name:32}{duration(middle):>10}{rate(row, middle):>13}"
        if name != next(iter(row.seconds)):
            text += "  " + ratio(row, name)
        yield text.rstrip()
    for name, value in row.facts.items():
        if name.startswith("bytes "):
            yield f"    {name}: {value:,}"


def duration(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"


def rate(row: Row, seconds: float) -> str:
    """Return bytes in a second, counted as those of one pass; blank if not known."""
    if "bytes" not in row.facts:
        return ""
    return f"{row.facts['bytes'] * row.facts['elements'] / seconds / 1e9:.3g} GB/s"


def ratio(row: Row, name: str) -> str:
    """Return a ratio, or only its quartiles if it is too uncertain."""
    low, _, high = row.ratio[name]
    middle = row.told(name)
    told = f"{'~':>8}" if middle is None else f"{middle:8.3f}"
    return f"{told}  [{low:.3f}, {high:.3f}]"


def fitted(rows: Sequence[Row]) -> Iterator[str]:
    """Return the lines that were fitted."""
    for curve, lines_of in fits(rows).items():
        for name, (intercept, slope) in lines_of.items():
            yield (
                f"  {curve}: {name}: {duration(intercept)} + {duration(slope)} each"
                " (least relative error)"
            )


def absences(rows: Iterable[Row]) -> Iterator[str]:
    """Return why contestants are not here, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for name, why in row.absent.items():
            reasons.setdefault(f"{name}: {why}", []).append(row.subject)
    if reasons:
        yield from ("", "absent")
    for why, subjects in reasons.items():
        of = ", ".join(dict.fromkeys(subjects))
        yield f"  {why}  ({of if len(of) < 60 else f'{len(set(subjects))} subjects'})"


def asked_of(row: Row, name: str) -> str | None:
    """Return the contestant of whom something is asked, if it is here."""
    if name == FASTEST:
        return row.fastest([n for n in row.seconds if n not in OURS])
    return name if name in row.ratio else None


def verdicts(rows: Iterable[Row]) -> Iterator[str]:
    """Return what was asked beside what was measured."""
    held, asked = 0, 0
    body = []
    for row in rows:
        for name, least in row.asked.items():
            found = asked_of(row, name)
            if found is None:
                continue
            measured = row.told(found)
            asked += 1
            held += measured is not None and measured >= least
            what = "not certain" if measured is None else f"{measured:.3f}"
            word = (
                "" if measured is None else "holds" if measured >= least else "MISSED"
            )
            subject = f"{row.subject}, {row.case}, {row.threads} threads"
            body.append(f"  {subject:56} {found:22} >= {least:g}: {what} {word}")
    if body:
        yield from ("", "asked, as a ratio to gradstep, and measured", *body)
        yield f"  {held} of {asked} hold"
