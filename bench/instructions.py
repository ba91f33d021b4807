"""Instructions of each rule, counted by valgrind: no noise can touch these.

usage: python bench/instructions.py [--write]

Every kernel of this build takes one step of SMALL and one of LARGE elements, at every
CPU level that valgrind runs, by one thread, in one process. What the larger took more
is what its further elements cost, to the instruction: neither Python nor the ends of
loops show. Prints the figures beside those of instructions.json, and exits with 1 if
one of them differs by more than 0.3 % or is missing. `--write` puts them into the file
instead, to be committed.

They depend on the compiler, by whose name and version the file has them, and on nothing
else: the load of the machine does not show. They are not times.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import gradstep as gs
from gradstep import _core

COMMITTED = Path(__file__).with_name("instructions.json")
TO_WRITE = "python bench/instructions.py --write"

# Less than one instruction more in the longest of the loops.
TOLERANCE = 0.003
# Multiples of four blocks, which sums of gradients take together.
SMALL, LARGE = 2**14, 2**15
# Called just before all small and before all large steps: there callgrind begins anew.
BETWEEN = "gs_set_threads"

# Instructions for each element: level > rule > dtype.
Figures = dict[str, dict[str, dict[str, float]]]


# -- within valgrind


def step(kernel: _core.Kernel, n: int) -> None:
    """Take a step of n elements; where a kernel takes none, its sums."""
    names = ("p", "g", *kernel.state)
    # On cache lines, so that no element is peeled off.
    p, g, *states = (gs.empty(n, kernel.dtype.replace("f", "float")) for _ in names)
    for k, a in enumerate((p, g, *states), 2):
        a[...] = 1 / k
    engine = _core.Engine(kernel.rule, (p,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, tuple(states))
    engine.set_group(0, (0.5,) * len(kernel.hyper), 1.0)
    engine.bound()
    take = engine.step if kernel.steps else engine.sums
    take(g)


def steps() -> None:
    """Take all steps, and print the levels that there are."""
    ran: set[str] = set()
    for n in (SMALL, LARGE):
        _core.set_num_threads(1, as_limit=False)
        for level in _core.levels():
            _core.choose(level)
            if _core.isa() != level:
                continue
            ran.add(level)
            for kernel in _core.kernels():
                step(kernel, n)
    print(json.dumps(sorted(ran)))


# -- around it


def valgrind(folder: Path) -> list[str]:
    """Run `steps` in valgrind; return the levels, and leave the counts in a folder."""
    if shutil.which("valgrind") is None:
        raise RuntimeError(
            "instructions: valgrind is not installed; apt-get install valgrind"
        )
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", f"--dump-before={BETWEEN}"),
            *(f"--callgrind-out-file={folder / 'out'}", sys.executable, __file__),
            "--steps",
        ],
        # One thread of OpenBLAS too: its others only wait, but are simulated.
        env=os.environ | {"GRADSTEP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"instructions: valgrind failed:\n{done.stderr[-3000:]}")
    levels: list[str] = json.loads(done.stdout.splitlines()[-1])
    return levels


def inclusive(file: Path) -> Counter[str]:
    """Return the instructions of each function and of all that it calls, by name."""
    listing = subprocess.run(
        ["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(file)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: Counter[str] = Counter()
    # A function has a line for each file that parts of it are from.
    for count, name in re.findall(r"^ *([\d,]+) .*:(\w+) \[", listing, re.M):
        found[name] += int(count.replace(",", ""))
    return found


def unseen(name: str) -> RuntimeError:
    """Return the refusal of a build in which a function has lost its name."""
    return RuntimeError(
        f"instructions: valgrind saw no calls of {name}; count a build whose symbols "
        "are not stripped"
    )


def each(
    kernel: _core.Kernel, level: str, small: Counter[str], large: Counter[str]
) -> float:
    """Return the instructions for each element of a kernel."""
    found = 0
    for word, has in (("gather_range", kernel.sums > 0), ("step", kernel.steps)):
        name = f"{kernel.rule}_{word}_{kernel.dtype}_{level}"
        more = large[name] - small[name]
        if has and more <= 0:
            raise unseen(name)
        found += more if has else 0
    return round(found / (LARGE - SMALL), 3)


def count() -> Figures:
    """Count the instructions for each element of every kernel, in half a minute."""
    if (kind := gs.build_config()["buildtype"]) != "release":
        raise RuntimeError(
            f"instructions: this is a {kind} build of gradstep; count a release build, "
            "which `pip install .` makes"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        levels = valgrind(folder)
        # What came before the last beginning, and after it.
        dumps = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        if len(dumps) < 2:
            raise unseen(BETWEEN)
        small, large = inclusive(dumps[-1]), inclusive(folder / "out")
    found: Figures = {}
    for level in levels:
        rules = found.setdefault(level, {})
        for kernel in _core.kernels():
            figure = each(kernel, level, small, large)
            rules.setdefault(kernel.rule, {})[kernel.dtype] = figure
    return found


# -- beside what is committed


def compiler() -> str:
    """Return what the figures depend on."""
    return str(gs.build_config()["compiler"])


def committed() -> dict[str, Figures]:
    """Return the figures of the file by compiler."""
    found: dict[str, Figures] = json.loads(COMMITTED.read_text())
    return found


def flat(figures: Figures) -> dict[tuple[str, str, str], float]:
    """Return the figures by level, rule and dtype together."""
    return {
        (level, rule, dtype): figure
        for level, rules in figures.items()
        for rule, dtypes in rules.items()
        for dtype, figure in dtypes.items()
    }


def differs(now: float | None, then: float | None) -> str | None:
    """Return what is wrong with a figure, if anything is."""
    if then is None:
        return f"{now} instructions per element and no entry in {COMMITTED.name}"
    if now is None:
        return f"{then} instructions per element in {COMMITTED.name}, not in this build"
    if abs(now / then - 1) <= TOLERANCE:
        return None
    word = "rose" if now > then else "fell"
    return (
        f"instructions per element {word} from {then} to {now} ({now / then - 1:+.1%})"
    )


def problems(found: Figures, known: dict[str, Figures]) -> list[str]:
    """Name every figure that differs by more than 0.3 % from the file's or has none."""
    if compiler() not in known:
        return [
            f"{COMMITTED.name} has no entry for {compiler()}, it has "
            f"{', '.join(sorted(known)) or 'none'}; run `{TO_WRITE}` where gradstep is "
            "built by it, and commit the file"
        ]
    now, then = flat(found), flat(known[compiler()])
    told = []
    # A level that this CPU lacks is not compared.
    for key in sorted(now | {k: v for k, v in then.items() if k[0] in found}):
        if what := differs(now.get(key), then.get(key)):
            level, rule, dtype = key
            told.append(
                f"{rule} {dtype} {level}, {compiler()}: {what}; if that is meant, run "
                f"`{TO_WRITE}` and commit the file"
            )
    return told


def write(found: Figures) -> None:
    """Put the figures of this compiler and these levels into the file."""
    known = committed() if COMMITTED.exists() else {}
    known[compiler()] = known.get(compiler(), {}) | found
    text = json.dumps(known, indent=1, sort_keys=True)
    # A line for each rule.
    text = re.sub(r'\{\s*("f\d+": [\d.]+),\s*("f\d+": [\d.]+)\s*\}', r"{\1, \2}", text)
    COMMITTED.write_text(text + "\n")


def table(found: Figures, known: Figures) -> None:
    """Print the figures beside those of the file."""
    then = flat(known)
    print(f"instructions per element, {compiler()}")
    print(f"  {'rule':33} dtype level {'now':>9} {'committed':>9}")
    for (level, rule, dtype), figure in sorted(flat(found).items()):
        old = then.get((level, rule, dtype))
        shown = "-" if old is None else f"{old:.3f}"
        print(f"  {rule:33} {dtype:5} {level:5} {figure:9.3f} {shown:>9}")
    for level in sorted(set(known) - set(found)):
        print(f"{level} was not counted: this CPU, or valgrind, lacks it")


def main() -> int:
    """Count, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--write", action="store_true", help="put them into the file")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.steps:
        steps()
        return 0
    found = count()
    known = committed() if COMMITTED.exists() else {}
    table(found, known.get(compiler(), {}))
    if chosen.write:
        write(found)
        return 0
    told = problems(found, known)
    print(*told, sep="\n", file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as refusal:
        sys.exit(str(refusal))
