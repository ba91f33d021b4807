"""Pictures of results: the roofline, and what a call costs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradstep.bench.peers import OURS
from gradstep.bench.row import Row
from gradstep.bench.suites.scaling import ARRAYS, ELEMENTS

try:
    from matplotlib.figure import Figure
except ImportError as missing:
    raise ImportError(
        "pictures need matplotlib; pip install 'gradstep[plot]'"
    ) from missing

# Told apart by any eye, and dark on light without colours (Okabe & Ito, 2008).
OURS_COLOUR, LINE = "#0072B2", "0.35"
PEER_STYLES = (
    *("sC1", "^C2", "DC3", "vC4", "PC5", "XC6", "<C7", ">C8", "*C9"),
    *("hC1", "pC2", "dC3"),
)
LARGE = "DRAM, float32"


class Mark(NamedTuple):
    """A contestant's step of a rule: bytes of an element, and gigabytes a second."""

    rule: str
    name: str
    bytes: int
    rate: float


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the pictures that these rows allow, as PNG and SVG; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in (("roofline", roofline(rows)), ("overhead", overhead(rows))):
        for suffix in ("png", "svg") if figure else ():
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(paths[-1], dpi=150)  # type: ignore[union-attr]
    return paths


def marks(rows: Iterable[Row], threads: int) -> list[Mark]:
    """Return what was reached by steps of one large array."""
    return [
        Mark(
            *(row.subject, name, row.facts["bytes"]),
            row.facts["bytes"] * row.facts["elements"] / seconds[1] / 1e9,
        )
        for row in rows
        if row.suite == "step" and row.threads == threads and LARGE in row.case
        for name, seconds in row.seconds.items()
        # Ours stands beside the roofline once, not again beside its peers.
        if ("peers" in row.case) == (name not in ("gradstep", "traffic"))
    ]


def roofline(rows: Sequence[Row]) -> Figure | None:
    """Draw bytes of an element against the rate at which a step moves them."""
    measured = [t for t in sorted({row.threads for row in rows}) if marks(rows, t)]
    if not measured:
        return None
    figure = Figure(figsize=(6.5 * len(measured), 5.5), layout="constrained")
    axes: Any = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for ax, threads in zip(axes, measured):
        _draw_rates(ax, marks(rows, threads))
        ax.set_title(f"{threads} thread{'s' * (threads > 1)}")
        ax.set_xlabel("bytes that a step has to move for each element")
    axes[0].set(ylabel="these bytes in a second, GB/s", ylim=(0, None))
    figure.legend(*_legend(axes), loc="outside lower center", ncols=5, fontsize="small")
    figure.suptitle("One step of a large float32 array, every rule")
    return figure


def _draw_rates(ax: Any, found: Sequence[Mark]) -> None:
    line: dict[int, list[float]] = {}
    for mark in found:
        if mark.name == "traffic":
            line.setdefault(mark.bytes, []).append(mark.rate)
    x = sorted(line)
    label = "traffic: only moves the bytes"
    ax.plot(x, [np.median(line[b]) for b in x], color=LINE, linewidth=1.5, label=label)
    names = [m.name for m in found if m.name not in OURS]
    for style, name in zip(PEER_STYLES, dict.fromkeys(names)):
        of = [mark for mark in found if mark.name == name]
        # A little aside, where several rules move as many bytes.
        ax.plot(
            *([m.bytes + 0.35 for m in of], [m.rate for m in of]),
            *(style,),
            markerfacecolor="none",
            markersize=5,
            linestyle="none",
            label=name,
        )
    ours = [mark for mark in found if mark.name == "gradstep"]
    ax.plot(
        *([m.bytes for m in ours], [m.rate for m in ours], "o"),
        color=OURS_COLOUR,
        markersize=5,
        label="gradstep",
        zorder=3,
    )
    _name(ax, ours)
    ax.set_xticks(sorted({m.bytes for m in found}))
    ax.grid(visible=True, alpha=0.3)


def _name(ax: Any, ours: Sequence[Mark]) -> None:
    """Name the slowest rule of each number of bytes, if it stands apart."""
    for moved in {m.bytes for m in ours}:
        of = sorted((m for m in ours if m.bytes == moved), key=lambda m: m.rate)
        slowest = of[0]
        if slowest.rate < 0.8 * of[-1].rate or len(of) == 1:
            ax.annotate(
                slowest.rule,
                (moved, slowest.rate),
                xytext=(0, -5),  # beside it the long names of two would overlap
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize="x-small",
            )


def overhead(rows: Sequence[Row]) -> Figure | None:
    """Draw the time of a step against elements, and against arrays."""
    curves = [
        (against, [r for r in rows if r.suite == "scaling" and against in r.subject])
        for against in (ELEMENTS, ARRAYS)
    ]
    curves = [(against, of) for against, of in curves if of]
    if not curves:
        return None
    figure = Figure(figsize=(5.5 * len(curves), 4.8), layout="constrained")
    axes: Any = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for ax, (against, of) in zip(axes, curves):
        names = dict.fromkeys(name for row in of for name in row.seconds)
        for style, name in zip(("o-", "s--", "^:"), names):
            here = [row for row in of if name in row.seconds]
            times = np.array([row.seconds[name] for row in here]) * 1e6
            x = [row.facts["x"] for row in here]
            (drawn,) = ax.plot(x, times[:, 1], style, markersize=4, label=name)
            ax.fill_between(x, *times[:, ::2].T, color=drawn.get_color(), alpha=0.2)
        ax.set(xscale="log", yscale="log", xlabel=against)
        ax.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("microseconds of a step of Adam")
    figure.legend(*_legend(axes), loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle("What a step costs")
    return figure


def _legend(axes: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return handles and labels, each once."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
