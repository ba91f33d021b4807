"""Change the code at random and see whether the tests notice: a mutation run.

    python tests/mutate.py --count 150 --seed 1

Each mutation is one change to one module of a copy of the package; the related tests,
those of TESTS, then run against the copy, and have to fail. What survives is printed as
a diff. A survivor asks for a test, or, if no behaviour differs, for an entry in
equivalent_mutations.toml that says why. The checkout is never written to.

    python tests/mutate.py --modules hyper.py state.py --count 40
    python tests/mutate.py --again report.json     # survivors of a run only
    python tests/mutate.py --list --modules hyper.py

A run of 150 takes about 40 minutes on one core. It ends with status 1 if less than 95 %
of the mutations that are not equivalent were killed.
"""

import argparse
import importlib.resources
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENTS = Path(__file__).with_name("equivalent_mutations.toml")
SHARE = 0.95
SLOWEST = 240.0  # seconds for the tests of one mutation

# Patterns of file names, without "test_" and ".py".
_OPTIONS = ["defaults", "option_ranges", "seeds", "bad_input", "constructors"]
_STEPS = ["optimizer", "groups", "rules", "switched_options", "random_walk*"]
_STORAGE = ["storage*", "derived_arrays", "few_bits*"]
_WRAPPERS = [
    "wrappers",
    "schedulefree*",
    "sums",
    "scaling",
    "random_walk*",
    "constructors",
]
_SCHEDULES = ["schedule_values", "schedules*", "lr_scheduler*", "plateau"]
_LLS = ["lls", "lls_inputs*", "lls_trainer*", "lls_validation", "lls_[!s]*", "sklearn*"]

# Module -> the tests of what it does, the most telling first; those of "adapter/" need
# torch. What several patterns name runs once.
TESTS: dict[str, list[str]] = {
    "assembly.py": [*_STEPS, *_OPTIONS, *_STORAGE, *_WRAPPERS],
    "checks.py": ["array_likes", *_OPTIONS, *_STEPS, "functional", *_WRAPPERS],
    "declared.py": [*_OPTIONS, *_STEPS, "registry", "lr_scheduler_[dr]*"],
    "functional.py": ["functional", *_OPTIONS, "switched_options"],
    "hyper.py": [*_OPTIONS, *_SCHEDULES, "adapter/few_bits"],
    "optimizer.py": [*_STEPS, *_OPTIONS, *_WRAPPERS, "precision_warning"],
    "precision.py": ["precision_warning", "storage"],
    "scaling.py": ["scaling", *_OPTIONS, "norm_ranges"],
    "state.py": [*_STEPS, *_OPTIONS, "functional", *_STORAGE, "checkpoint*"],
    "storage.py": [*_STORAGE, *_OPTIONS, *_STEPS, "adapter/few_bits"],
    "structure.py": [*_STEPS, *_OPTIONS],
    "threads.py": [*_OPTIONS, "threads"],
    "checkpoint/__init__.py": ["checkpoint*"],
    "checkpoint/container.py": ["checkpoint*"],
    "checkpoint/tree.py": ["checkpoint*", "lr_scheduler_resumed"],
    "lls/arguments.py": _LLS,
    "lls/data.py": _LLS,
    "lls/fit.py": _LLS,
    "lls/guard.py": _LLS,
    "lls/validation.py": _LLS,
    "lr_scheduler/combined.py": _SCHEDULES,
    "lr_scheduler/plateau.py": _SCHEDULES,
    "minimization/arguments.py": ["minimize*"],
    "minimization/box.py": ["minimize*"],
    "minimization/stopping.py": ["minimize*"],
    "optimizers/averaging.py": [*_WRAPPERS, *_STORAGE],
    "optimizers/sam.py": [*_WRAPPERS, "norm_ranges", *_OPTIONS],
    "optimizers/wrappers.py": [*_WRAPPERS, *_OPTIONS, "storage_arrays"],
    "schedules/arguments.py": _SCHEDULES,
    "schedules/cycle.py": _SCHEDULES,
    "schedules/decay.py": _SCHEDULES,
    "torch/gradients.py": [
        "adapter/gradient_kinds",
        "adapter/refusals",
        "adapter/distr*",
    ],
    "torch/loading.py": ["adapter/checkpoints", "adapter/schedule_free_modes"],
}

# Runs in every process that has the copy on its path. An editable install would import
# the checkout, whose finders come before the path.
SITECUSTOMIZE = """\
import sys
sys.meta_path[:] = [x for x in sys.meta_path if type(x).__name__ != "MesonpyMetaFinder"]
"""


@dataclass
class Result:
    """What became of one mutation."""

    mutation: Mutation
    outcome: str  # "killed", "timed out" or "survived"
    seconds: float
    equivalent: str | None = None  # why no test can see it


@dataclass
class Copy:
    """A copy of the installed package in a folder of its own."""

    folder: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        _copy(importlib.resources.files("gradstep"), self.folder / "gradstep")
        sources = ROOT / "src" / "gradstep"
        shutil.copytree(sources, self.folder / "gradstep", dirs_exist_ok=True)
        (self.folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / "hypothesis"),
        }
        code = "import gradstep; print(gradstep.__file__)"
        imported = subprocess.check_output(
            [sys.executable, "-c", code], env=self.environment, text=True
        )
        assert Path(imported.strip()).is_relative_to(self.folder), imported

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Put a mutation in the place of its module for a while."""
        path = self.folder / "gradstep" / mutation.module
        text = path.read_text()
        # Python tells that bytecode is stale by a time in seconds and by the size.
        cached = Path(importlib.util.cache_from_source(str(path)))
        try:
            cached.unlink(missing_ok=True)
            path.write_text(mutation.text)
            yield
        finally:
            path.write_text(text)
            cached.unlink(missing_ok=True)

    def passes(self, files: Iterable[str], limit: float) -> bool | None:
        """Return whether tests pass against the copy, None if they take too long."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        process = subprocess.Popen(
            [*command, *files],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _copy(source: Traversable, target: Path) -> None:
    """Copy what is imported, which an editable install has in two places."""
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            if entry.name not in ("__pycache__", "include"):
                _copy(entry, target / entry.name)
        else:
            (target / entry.name).write_bytes(entry.read_bytes())


def related(module: str) -> list[str]:
    """Return the test files of a module that this environment can run."""
    has_torch = importlib.util.find_spec("torch") is not None
    files: dict[str, None] = {}
    for pattern in TESTS[module]:
        folder, _, name = pattern.rpartition("/")
        if has_torch or not folder:
            matches = (ROOT / "tests" / folder).glob(f"test_{name}.py")
            files |= dict.fromkeys(str(x.relative_to(ROOT)) for x in sorted(matches))
    return list(files)


def all_mutations(modules: Iterable[str]) -> list[Mutation]:
    """Return every mutation of these modules, as the checkout has them."""
    return [
        x
        for module in modules
        for x in mutations(module, (ROOT / "src/gradstep" / module).read_text())
    ]


def known_equivalents() -> dict[tuple[str, str, str], str]:
    """Return, by module and the lines before and after, why no test can see it."""
    with EQUIVALENTS.open("rb") as file:
        entries = tomllib.load(file)["equivalent"]
    return {(x["module"], x["before"], x["after"]): x["why"] for x in entries}


def run(chosen: list[Mutation], workers: int, whole: bool) -> Iterator[Result]:
    """Try mutations, several at a time, each with a copy of its own."""
    equivalents = known_equivalents()
    with tempfile.TemporaryDirectory() as folder:
        free: SimpleQueue[Copy] = SimpleQueue()
        for k in range(workers):
            (Path(folder) / str(k)).mkdir()
            free.put(Copy(Path(folder) / str(k)))

        def attempt(mutation: Mutation) -> Result:
            begin, copy = time.monotonic(), free.get()
            try:
                why = equivalents.get(
                    (mutation.module, mutation.before, mutation.after)
                )
                with copy.mutated(mutation):
                    passed = copy.passes(related(mutation.module), SLOWEST)
                    if passed and whole and why is None:
                        passed = copy.passes(["tests"], 10 * SLOWEST)
                outcome = {True: "survived", False: "killed", None: "timed out"}[passed]
                return Result(mutation, outcome, time.monotonic() - begin, why)
            finally:
                free.put(copy)

        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(attempt, chosen)


def check_unchanged(modules: Iterable[str]) -> None:
    """Stop if the tests fail without any mutation."""
    files = list(dict.fromkeys(x for module in modules for x in related(module)))
    with tempfile.TemporaryDirectory() as folder:
        if not Copy(Path(folder)).passes(files, 10 * SLOWEST):
            sys.exit("tests fail, or take too long, without any mutation")


def chosen_mutations(arguments: argparse.Namespace) -> list[Mutation]:
    """Return the mutations that were asked for."""
    everything = all_mutations(arguments.modules or TESTS)
    if arguments.again:
        report = json.loads(Path(arguments.again).read_text())
        again = {tuple(x[:3]) for x in report if x[3] == "survived"}
        return [x for x in everything if (x.module, x.before, x.after) in again]
    count = min(arguments.count, len(everything))
    return random.Random(arguments.seed).sample(everything, count)


def summary(results: list[Result]) -> float:
    """Print what came of a run; return the share that was killed."""
    counted = [x for x in results if x.equivalent is None]
    survivors = [x for x in counted if x.outcome == "survived"]
    for x in results:
        if x.equivalent is not None and x.outcome != "survived":
            print(f"\nlisted as equivalent, but {x.outcome}:\n{x.mutation.diff()}")
    for x in survivors:
        print(f"\n{x.mutation.diff()}")
    killed = len(counted) - len(survivors)
    share = killed / max(len(counted), 1)
    timed_out = sum(x.outcome == "timed out" for x in counted)
    print(
        f"\n{killed} of {len(counted)} killed, {share:.1%} ({timed_out} by time); "
        f"{len(results) - len(counted)} equivalent"
    )
    return share


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Any = parser.add_argument
    add("--count", type=int, default=150, help="mutations, drawn at random")
    add("--seed", type=int, default=0, help="of the choice")
    add("--modules", nargs="+", choices=TESTS, metavar="MODULE", help="of these only")
    add("--again", metavar="REPORT", help="the survivors of an earlier run only")
    add("--report", metavar="FILE", help="write what became of each mutation")
    add("--workers", type=int, default=1, help="processes at a time")
    add("--whole", action="store_true", help="try survivors by the whole suite, too")
    add("--list", action="store_true", help="print the mutations and run nothing")
    arguments = parser.parse_args(argv)
    chosen = chosen_mutations(arguments)
    if arguments.list:
        print("\n\n".join(x.diff() for x in chosen))
        return 0
    check_unchanged({x.module for x in chosen})
    results: list[Result] = []
    for x in run(chosen, arguments.workers, arguments.whole):
        results.append(x)
        m = x.mutation
        print(f"{x.outcome:9} {x.seconds:6.1f} s  {m.module}:{m.line}", flush=True)
        if arguments.report:
            rows = [
                (y.mutation.module, y.mutation.before, y.mutation.after, y.outcome)
                for y in results
            ]
            Path(arguments.report).write_text(json.dumps(rows, indent=1))
    return 0 if summary(results) >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
