"""Commands of `python -m gradstep` where an optional package is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

# Runs a command where importing the first argument fails, as if it were not installed.
WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from gradstep.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        (
            "matplotlib",
            ["gallery", "pictures"],
            "gallery: gradstep.plot needs matplotlib",
        ),
        ("torch", ["demo", "--torch"], "demo --torch: gradstep.torch needs PyTorch"),
    ],
)
def test_a_missing_package_is_named_in_one_line(
    package: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"python -m gradstep {message}")
    assert "pip install 'gradstep[" in line
    assert list(tmp_path.iterdir()) == []
