"""The command line: `python -m gradstep bench`, and `python bench/run.py` for all."""

import argparse
import functools
import gc
import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gradstep as gs
from gradstep.bench import peers, rules, table
from gradstep.bench.apart import Places
from gradstep.bench.machine import machine
from gradstep.bench.row import Row
from gradstep.bench.suites import SUITES, Chosen

# Of the minute that the quick form may take, what its cases may begin in.
QUICK_SECONDS = 50.0

PACKAGES = (*dict.fromkeys(peer.package for peer in peers.PEERS.values()), "sklearn")


def parser(*, quick: bool) -> argparse.ArgumentParser:
    """Return the parser of arguments; the quick form is the only one of a wheel's."""
    made = argparse.ArgumentParser(
        prog="python -m gradstep bench" if quick else "python bench/run.py",
        description="Time steps and fits beside memory and beside peers.",
    )
    made.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    if not quick:
        made.add_argument("--quick", action="store_true", help="within a minute")
    made.add_argument(
        "--rules", nargs="+", metavar="RULE", help="such as adamw madgrad"
    )
    made.add_argument(
        "--peers",
        nargs="*",
        metavar="PACKAGE",
        help="those installed; " + ", ".join(PACKAGES),
    )
    made.add_argument("--threads", nargs="+", type=int, metavar="N", help="1, and all")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    made.add_argument("--plot", type=Path, metavar="DIR", help="draw pictures of them")
    return made


def choose(
    made: argparse.ArgumentParser, found: argparse.Namespace
) -> tuple[list[str], Chosen]:
    """Return the suites and what was chosen, or end with what is wrong."""
    known = [*rules.in_build(two_pass=False), *rules.in_build(two_pass=True)]
    for name, given, allowed in (
        ("SUITE", found.suites, SUITES),
        ("--rules", found.rules or (), known),
        ("--peers", found.peers or (), PACKAGES),
    ):
        if wrong := [value for value in given if value not in allowed]:
            made.error(f"{name}: {wrong[0]} is not one of {', '.join(allowed)}")
    if lacking := set(known) - set(rules.RULES):
        made.error(f"gradstep.bench.rules lacks {', '.join(sorted(lacking))}")
    threads = tuple(found.threads or sorted({1, gs.get_num_threads()}))
    if min(threads) < 1:
        made.error(f"--threads: {min(threads)} is less than 1")
    if found.plot:
        try:
            import gradstep.bench.pictures  # noqa: F401, PLC0415  # before hours of work
        except ImportError as missing:
            made.error(f"--plot: {missing}")
    if found.json and not found.json.absolute().parent.is_dir():
        made.error(f"--json: {found.json.parent} is not a folder; make it first")
    installed = [name for name in PACKAGES if importlib.util.find_spec(name)]
    wanted = found.peers
    if wanted is None:  # DeepSpeed's first use is a minute of compiling
        wanted = [name for name in installed if name != "deepspeed" or not found.quick]
    chosen = Chosen(
        quick=found.quick,
        rules=None if found.rules is None else tuple(found.rules),
        packages=tuple(name for name in wanted if name in installed),
        threads=threads,
    )
    return found.suites or list(SUITES), chosen


def _show_status(text: str) -> None:
    """Show what runs on the last line of a terminal; clear it for an empty text."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)


def run(
    suites: Sequence[str],
    chosen: Chosen,
    *,
    seconds: float = math.inf,
    show: Callable[[str], object] = print,
) -> tuple[list[Row], bool]:
    """Measure, and show the lines of each row as soon as it is measured.

    Each suite has an equal share of the time that is left, and runs its first case
    however little that is. A case that begins in time is finished.

    Returns
    -------
    rows : list of Row
    whole : bool
        False if Ctrl-C ended it.
    """
    jobs = {name: list(SUITES[name](chosen)) for name in suites}
    rows: list[Row] = []
    end, is_whole, n_left_out = time.monotonic() + seconds, True, 0
    gc.disable()  # as timeit does: a collection would hit one contestant by chance
    try:
        with Places() as places:
            for i, (name, jobs_of_suite) in enumerate(jobs.items()):
                now = time.monotonic()
                end_of_suite = now + (end - now) / (len(jobs) - i)
                show(f"\n{name}\n")
                for k, job in enumerate(jobs_of_suite):
                    if k and time.monotonic() >= end_of_suite:
                        n_left_out += len(jobs_of_suite) - k
                        break
                    _show_status(f"{len(rows)} cases measured  {job.title}")
                    rows.append(job.run(places))
                    _show_status("")
                    show("\n".join(table.lines(rows[-1])))
                if name == "scaling":
                    show("\n".join(table.fitted(rows)))
    except KeyboardInterrupt:
        print("\ninterrupted: what is there was shown", file=sys.stderr)
        is_whole = False
    finally:
        gc.enable()
        gs.set_num_threads(None)
    if n_left_out:
        show(
            f"\n{n_left_out} more cases did not fit into {seconds:.0f} seconds; "
            "name a suite or rules (--rules) to measure theirs"
        )
    return rows, is_whole


def as_json(facts: dict[str, str], rows: Sequence[Row]) -> str:
    """Return what is saved, each row a line, since people compare such files."""
    lines = ",\n".join(json.dumps(row.as_dict()) for row in rows)
    return f'{{"machine": {json.dumps(facts, indent=1)},\n"rows": [\n{lines}\n]}}\n'


def main(arguments: Sequence[str] | None = None, *, quick: bool = False) -> int:
    """Measure, print, save and draw; return the exit status."""
    made = parser(quick=quick)
    found = made.parse_args(arguments)
    found.quick = quick or found.quick
    suites, chosen = choose(made, found)
    start, facts = time.monotonic(), machine()
    facts["threads"] = ", ".join(map(str, chosen.threads))
    facts["suites"] = " ".join(suites) + (" (quick)" if chosen.quick else "")
    for name, fact in facts.items():
        print(f"{name:>12}: {fact}")
    seconds = QUICK_SECONDS if chosen.quick else math.inf
    show = functools.partial(print, flush=True)
    rows, whole = run(suites, chosen, seconds=seconds, show=show)
    facts["minutes"] = f"{(time.monotonic() - start) / 60:.1f}"
    print(*table.closing(rows), sep="\n")
    print(f"\n{len(rows)} cases in {facts['minutes']} minutes")
    if found.json:
        found.json.write_text(as_json(facts, rows))
    if found.plot:
        from gradstep.bench.pictures import draw  # noqa: PLC0415  # needs matplotlib

        print(*draw(rows, found.plot), sep="\n")
    return 0 if whole else 130
