"""The README's table: from the results of a full run, which are committed.

    python -m gradstep.bench.report bench/results.json README.md

writes the table between two marks of that file.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gradstep.bench.peers import OURS
from gradstep.bench.row import Row
from gradstep.bench.suites.step import FASTEST, PEERED
from gradstep.bench.table import duration

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

# What the table shows: suite, subject, case, threads (0: the most), contestants, and
# what to call it.
Shown = tuple[str, str, str, int, tuple[str, ...], str]
LARGE, BESIDE = "DRAM, float32", "DRAM, float32, peers"
TORCH = ("torch fused", "torch foreach")
SHOWN: tuple[Shown, ...] = (
    ("step", "adam", LARGE, 1, ("traffic",), "`Adam`, a large array, 1 thread"),
    ("step", "adam", LARGE, 0, ("traffic",), "`Adam`, a large array"),
    (
        *("step", "adam", BESIDE, 0),
        (*TORCH, "DeepSpeed", "optax", "NumPy"),
        "`Adam`, a large array",
    ),
    ("step", "adamw", BESIDE, 0, (*TORCH, "DeepSpeed"), "`AdamW`, a large array"),
    ("step", "sgd_momentum", BESIDE, 0, TORCH, "`SGD` with momentum, likewise"),
    *(
        ("step", rule, BESIDE, 0, (FASTEST,), f"`{name}`, likewise")
        for rule, name in zip(
            PEERED,
            ("AdaBelief", "MADGRAD", "Adan", "RMSprop", "NAdam", "ScheduleFreeAdamW"),
        )
    ),
    ("small", "adamw", "1", 0, TORCH, "`AdamW`, one array of 1 element"),
    ("small", "adamw", "1000 x 1000", 0, TORCH, "`AdamW`, 1000 arrays of 1000"),
    (
        *("small", "adamw", "GPT-2 small", 0),
        (*TORCH, "gradstep.torch"),
        "`AdamW`, GPT-2 small, 148 arrays",
    ),
    (
        *("clip", "adamw, clip_norm=1.0", "DRAM", 0),
        ("without", "torch: clip_grad_norm_, fused"),
        "`AdamW` that clips, a large array",
    ),
    (
        *("storage", "adamw, bfloat16 gradients", "DRAM", 0, ("float32",)),
        "`AdamW` with bfloat16 gradients",
    ),
    (
        *("lls", "the tutorial's fit, 570 updates", "569 x 2 float64", 0),
        ("by rows", "by index"),
        "`lls.fit`, the tutorial's 570 updates",
    ),
    (
        *("lls", "epoch, blocks in no order, batches of 256"),
        *("1,000,000 x 100 float64", 0, ("SGDRegressor", "X.sum()")),
        "`lls.fit`, 10^6 x 100, an epoch",
    ),
    (
        *("lls", "epoch, rows in no order, batches of 256"),
        *("1,000,000 x 100 float64", 0, ("SGDRegressor", "reading rows")),
        "the same, each row in no order",
    ),
    (
        *("schedule", "CosineAnnealingLR", "1 group", 1, ("without", "torch")),
        "`Adam` and `CosineAnnealingLR`, 8 elements",
    ),
    (
        *("import", "import", "a fresh process", 1, ("numpy", "torch")),
        "`import gradstep`",
    ),
)

NAMES = {"traffic": "the same bytes, only moved"}


def table(saved: dict[str, Any]) -> str:
    """Return the table in Markdown, with the machine it is of."""
    rows = [Row.of(row) for row in saved["rows"]]
    facts = saved["machine"]
    lines = [
        f"`python bench/run.py`, {facts['minutes']} minutes on {facts['CPU']} (level "
        f"{facts['gradstep'].split()[1].rstrip(';')}; {facts['memory']}), "
        f"{facts['date']}; {_built(facts['gradstep'])}, Python {facts['Python']}; "
        f"{facts['packages']}. Flags of peers are in `bench/README.md`.",
        "",
        "| | time | beside, as a ratio to it | command: `python bench/run.py` |",
        "|---|---|---|---|",
        *_lines(rows),
    ]
    return "\n".join(lines)


def _built(gradstep: str) -> str:
    found = dict(part.split(" ", 1) for part in gradstep.split("; ")[1].split(", "))
    return f"{found['compiler']}, {found['kernel_flags']}"


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    most = max(row.threads for row in rows)
    for suite, subject, case, threads, names, title in SHOWN:
        row = _find(rows, suite, subject, case, threads or most)
        beside = []
        for name in names:
            found = name
            if name == FASTEST:
                found = row.fastest([n for n in row.seconds if n not in OURS]) or ""
            if found in row.seconds:
                beside.append(f"{NAMES.get(found, found)} {_ratio(row, found)}")
        command = suite if suite in ("import", "lls", "schedule") else _command(row)
        time = duration(row.seconds["gradstep"][1])
        yield f"| {title} | {time} | {', '.join(beside)} | `{command}` |"


def _find(
    rows: Sequence[Row], suite: str, subject: str, case: str, threads: int
) -> Row:
    for row in rows:
        named = (row.suite, row.subject, row.case, row.threads)
        if named == (suite, subject, case, threads):
            return row
    raise LookupError(f"no row of {suite}, {subject}, {case}, {threads} threads")


def _command(row: Row) -> str:
    return f"{row.suite} --rules {row.subject.split(',')[0]}"


def _ratio(row: Row, name: str) -> str:
    told = row.told(name)
    if told is None:
        low, _, high = row.ratio[name]
        return f"{_number(low)} to {_number(high)}"
    return _number(told)


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def replaced(text: str, made: str) -> str:
    """Return a text with what stands between the marks replaced."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"the text must have the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main(results: str, readme: str) -> None:
    """Write the table into a file."""
    path = Path(readme)
    made = table(json.loads(Path(results).read_text()))
    path.write_text(replaced(path.read_text(), made))


if __name__ == "__main__":
    main(*sys.argv[1:])
