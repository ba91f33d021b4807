"""Kernels, and the tables of their launches, under ASan and UBSan."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def runtime(name: str) -> str:
    found = subprocess.run(
        ["cc", f"-print-file-name={name}.so"],
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.strip()


def run(command: list[str | Path], **environment: str) -> str:
    done = subprocess.run(
        command,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kernels_as_cpp(tmp_path: Path) -> None:
    """Python itself is not instrumented, so the runtime is preloaded."""
    libraries = ("libasan", "libubsan", "libstdc++")
    told = run(
        [sys.executable, HERE / "on_sanitizers.py", tmp_path],
        LD_PRELOAD=" ".join(map(runtime, libraries)),
        ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0",
        PYTHONPATH=os.pathsep.join(sys.path),
        UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
    )
    assert told.count("\n") == 4


def test_tables_of_launches(tmp_path: Path) -> None:
    """Of few tensors and of many, of several kinds, groups and sizes."""
    program = tmp_path / "launches"
    sources = [HERE / "launches_check.c", CSRC / "launches.c", CSRC / "tables.c"]
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}"]
    run(["cc", *flags, *SANITIZERS, *sources, "-o", program])
    assert run([program]) == "done\n"
