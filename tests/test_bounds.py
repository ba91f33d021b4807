"""Arrays of C are as long as csrc/bounds.h says, whatever it says."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()
# Those that need nothing that the build generates.
FILES = ("lls_run.c", "plan.c", "staged.c", "tables.c", "launches.c", "reduce.c")

PACKED = """
#include "lls.h"
_Static_assert(sizeof(((gs_lls_touched *)0)->packed) / sizeof(void *) ==
               2 + GS_MAX_STATE, "w, g and the states");
"""


def compiles(folder: Path, name: str) -> str:
    """Return what the compiler says against a file; nothing if it is right."""
    flags = ["-std=gnu11", "-fsyntax-only", "-I", str(folder)]
    command = [*COMPILER, *flags, str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of csrc, to be changed."""
    folder = tmp_path / "csrc"
    shutil.copytree(CSRC, folder)
    (folder / "packed.c").write_text(PACKED)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("states", [2, 6, 9])
def test_more_states_need_only_a_larger_bound(sources: Path, states: int) -> None:
    replace(sources / "bounds.h", "GS_MAX_STATE = 6", f"GS_MAX_STATE = {states}")
    for name in (*FILES, "packed.c"):
        assert compiles(sources, name) == "", name


# A bound that is no longer what others take it for; what says so.
BROKEN = {
    "packed": ("lls.h", "packed[GS_LLS_PACKED]", "packed[7]", "lls_run.c", "every st"),
    "lanes": ("bounds.h", "GS_LANES = 16", "GS_LANES = 8", "reduce.c", "16 lanes"),
    "scales": ("bounds.h", "SCALED = 256", "SCALED = 384", "staged.c", "scale does"),
    "blocks": ("bounds.h", "BLOCK = 4096", "BLOCK = 256", "staged.c", "for a block"),
    "copies": ("bounds.h", "STATE = 6", "STATE = 33", "plan.c", "a bit for each"),
    "launch": ("device.h", "MANY = 320", "MANY = 999", "launches.c", "lower GS_MANY"),
    "slots": ("device.h", "ARGUMENT = 4000", "ARGUMENT = 60", "tables.c", "all arrays"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_bounds_that_do_not_fit_do_not_compile(sources: Path, case: str) -> None:
    header, old, new, name, words = BROKEN[case]
    replace(sources / header, old, new)
    assert words in compiles(sources, name)
