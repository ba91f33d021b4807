"""Instructions of every rule, beside those that are committed; needs valgrind.

CI runs this by name: `python -m pytest tests/instructions`.
"""

import copy
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import gradstep as gs
from gradstep import _core

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import instructions

TO_WRITE = "if that is meant, run `python bench/instructions.py --write`"
KNOWN = {
    "v2": {"adam": {"f32": 8.0, "f64": 16.0}},
    "v3": {"adam": {"f32": 2.0, "f64": 4.0}, "lion": {"f32": 1.5, "f64": 3.0}},
}


@pytest.fixture
def by_cc9(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "compiler", lambda: "cc 9")


def told(found: dict[str, Any]) -> list[str]:
    return instructions.problems(found, {"cc 9": KNOWN, "cc 8": {}})


# -- this build


def test_no_rule_takes_other_instructions_than_are_committed() -> None:
    found = instructions.count()
    assert {"v3", "v2", "base"} & set(found)
    for rules in found.values():
        assert {(r, d) for r in rules for d in rules[r]} == {
            (k.rule, k.dtype) for k in _core.kernels()
        }
    if problems := instructions.problems(found, instructions.committed()):
        pytest.fail("\n".join(problems), pytrace=False)


# -- what the comparison says


@pytest.mark.parametrize("share", [0.9971, 1.0, 1.0029])
def test_less_than_an_instruction_is_passed_over(by_cc9: None, share: float) -> None:
    found = copy.deepcopy(KNOWN)
    found["v3"]["adam"]["f32"] = 2.0 * share
    assert told(found) == []


@pytest.mark.parametrize(
    ("rule", "figures", "message"),
    [
        (
            "adam",
            {"f32": 2.01, "f64": 4.0},
            "adam f32 v3, cc 9: instructions per element rose from 2.0 to 2.01 (+0.5%)",
        ),
        (
            "adam",
            {"f32": 2.0, "f64": 3.8},
            "adam f64 v3, cc 9: instructions per element fell from 4.0 to 3.8 (-5.0%)",
        ),
        (
            "adan",
            {"f32": 5.0},
            "adan f32 v3, cc 9: 5.0 instructions per element and no entry in "
            "instructions.json",
        ),
        (
            "lion",
            {"f32": 1.5},
            "lion f64 v3, cc 9: 3.0 instructions per element in instructions.json, not "
            "in this build",
        ),
    ],
)
def test_what_differs_is_named_with_its_figures(
    by_cc9: None, rule: str, figures: dict[str, float], message: str
) -> None:
    found = copy.deepcopy(KNOWN)
    found["v3"][rule] = figures
    assert told(found) == [f"{message}; {TO_WRITE} and commit the file"]


def test_levels_that_this_cpu_lacks_are_not_compared(by_cc9: None) -> None:
    assert told({"v2": KNOWN["v2"]}) == []


def test_a_level_without_an_entry_is_named_rule_by_rule(by_cc9: None) -> None:
    one = {"adam": {"f32": 1.0, "f64": 2.0}}
    assert [text.split(",")[0] for text in told(KNOWN | {"base": one})] == [
        "adam f32 base",
        "adam f64 base",
    ]


def test_a_compiler_without_an_entry_is_told_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instructions, "compiler", lambda: "cc 10")
    assert told(KNOWN) == [
        "instructions.json has no entry for cc 10, it has cc 8, cc 9; run `python "
        "bench/instructions.py --write` where gradstep is built by it, and commit the "
        "file"
    ]


# -- what is refused


def test_a_build_that_is_no_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    debug = gs.build_config() | {"buildtype": "debugoptimized"}
    monkeypatch.setattr(gs, "build_config", lambda: debug)
    with pytest.raises(RuntimeError, match="this is a debugoptimized build of gradst"):
        instructions.count()


def test_a_machine_without_valgrind_is_told_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="not installed; apt-get install valgrind"):
        instructions.count()


def test_what_valgrind_says_is_passed_on_if_it_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    valgrind = tmp_path / "valgrind"
    valgrind.write_text("#!/bin/sh\necho no such tool >&2\nexit 1\n")
    valgrind.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RuntimeError, match="valgrind failed:\nno such tool"):
        instructions.count()


def test_a_kernel_whose_name_valgrind_never_saw_is_refused() -> None:
    kernel = _core.find("lamb", "f32")
    seen = Counter({"lamb_gather_range_f32_v3": 16384})
    message = "valgrind saw no calls of lamb_step_f32_v3; count a build whose symbols"
    with pytest.raises(RuntimeError, match=message):
        instructions.each(kernel, "v3", Counter(), seen)


def test_a_build_without_symbols_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "valgrind", lambda _: ["v3"])
    with pytest.raises(RuntimeError, match="no calls of gs_set_threads; count a build"):
        instructions.count()


# -- the program


def test_a_step_and_the_sums_before_it_are_added_up() -> None:
    kernel = _core.find("lamb", "f32")
    small = Counter({"lamb_gather_range_f32_v3": 100, "lamb_step_f32_v3": 200})
    more = Counter({"lamb_gather_range_f32_v3": 16384, "lamb_step_f32_v3": 8192})
    assert instructions.each(kernel, "v3", small, small + more) == 1.5


def test_writing_keeps_other_compilers_and_levels(
    by_cc9: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(instructions, "COMMITTED", tmp_path / "instructions.json")
    instructions.write(KNOWN)
    monkeypatch.setattr(instructions, "compiler", lambda: "cc 10")
    instructions.write(KNOWN)
    new = {"v3": {"adam": {"f32": 3.0, "f64": 6.0}}}
    instructions.write(new)
    assert instructions.committed() == {"cc 9": KNOWN, "cc 10": KNOWN | new}
    assert '   "adam": {"f32": 3.0, "f64": 6.0}\n' in instructions.COMMITTED.read_text()


@pytest.mark.parametrize(("figure", "status"), [(2.0, 0), (2.5, 1)])
def test_the_program_prints_both_figures_and_exits_with_1_if_they_differ(
    by_cc9: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    figure: float,
    status: int,
) -> None:
    found = copy.deepcopy(KNOWN)
    found["v3"]["adam"]["f32"] = figure
    monkeypatch.setattr(instructions, "COMMITTED", tmp_path / "instructions.json")
    monkeypatch.setattr(instructions, "count", lambda: found)
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    instructions.write(KNOWN)
    assert instructions.main() == status
    printed = capsys.readouterr()
    row = f"  adam                              f32   v3        {figure:.3f}     2.000"
    assert row in printed.out.splitlines()
    assert ("adam f32 v3, cc 9: " in printed.err) == (status == 1)


def test_the_program_ends_with_a_refusal_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["instructions.py"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(instructions.__file__, run_name="__main__")
    assert ended.value.code == (
        "instructions: valgrind is not installed; apt-get install valgrind"
    )
