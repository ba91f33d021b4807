"""Adding a rule leaves nothing out: the registry, the headers and the docs agree."""

import functools
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradstep as gs
import reference
from gradstep import demo, roofline
from gradstep.__main__ import main
from gradstep.hyper import real
from gradstep.optimizer import OPTIMIZERS, Optimizer
from support import SUMS_ONLY, kernels

ROOT = Path(__file__).parent.parent
RULES = sorted({k.rule for k in kernels()})
HEADERS = sorted((ROOT / "csrc" / "rules").glob("*.h"))
# Rules that are no optimizer's step: derived points, and the roofline.
NOT_STEPS = {"sgd_lookahead", "schedulefree_point", "traffic"} | {
    f"traffic_state{k}" for k in (1, 2, "2_read1", 3, 4)
}
# Headers without a step: sums alone (of which one has a variant), or what rules share.
SHARED = SUMS_ONLY - {"norm_nonfinite"} | {"schedulefree_move"}
CLASSES = {*OPTIMIZERS.values(), gs.SAM, gs.ScheduleFree}


def test_every_rule_has_both_dtypes_and_a_reference() -> None:
    assert {(k.rule, k.dtype) for k in kernels()} == {
        (rule, dtype) for rule in RULES for dtype in ("f32", "f64")
    }
    assert set(reference.RULES) == set(RULES)


def test_every_rule_belongs_to_exactly_one_class() -> None:
    claimed = [rule for cls in CLASSES for rule in cls.rules]
    assert sorted(claimed) == sorted(set(RULES) - NOT_STEPS)


def test_every_header_is_in_the_list() -> None:
    stems = {h.stem for h in HEADERS}
    assert {s for s in stems if not any(r.startswith(s) for r in RULES)} == SHARED


@pytest.mark.parametrize("header", HEADERS, ids=lambda h: h.stem)
def test_headers_keep_to_their_form(header: Path) -> None:
    text = header.read_text()
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    included = set(re.findall(r'#include\s+(["<].*?[">])', code))
    allowed = {'"../rule_begin.h"', '"../rule_end.h"'} | {
        f'"{h.name}"' for h in HEADERS
    }
    assert included <= allowed
    assert text.startswith("/* ")
    assert len(text.splitlines()) <= 80
    # No loop, and for an element only + - * / and what scalar.h names: no branch, and
    # no dtype but in the terms of sums.
    statements = re.sub(r"^ *#.*$", "", code, flags=re.M)
    assert not re.search(r"\b(for|while|switch|float|pow|exp|fma)\b", statements)
    for name, body in re.findall(r"^RULE_FN.*?K\((\w+)\)(.*?^})", code, re.M | re.S):
        assert not re.search(r"\bif\b", re.sub(r"^ *#.*$", "", body, flags=re.M))
        assert name == "terms" or "double" not in body


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_classes_are_exported_and_documented(name: str) -> None:
    cls = OPTIMIZERS[name]
    assert getattr(gs, name) is cls
    doc = inspect.getdoc(cls) or ""
    sections = ["Parameters", "Raises", "Notes", "References", "Examples"]
    positions = [doc.index(f"\n{s}\n{'-' * len(s)}\n") for s in sections]
    assert positions == sorted(positions)
    assert ".. math::" in doc
    assert ">>> " in doc
    parameters = doc[positions[0] : positions[1]]
    for option in inspect.signature(cls).parameters:
        entry = rf"^(\w+, )*{option}((, \w+)*$| : )"
        assert re.search(entry, parameters, re.M), option


# Bytes of a float32 element in the two passes of rules with sums.
PASSES = {"lamb": (24, 16), "lars": (8, 20), "adai": (16, 32)}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_notes_say_how_many_bytes_a_step_moves(name: str) -> None:
    notes = (inspect.getdoc(OPTIMIZERS[name]) or "").split("\nNotes\n")[1]
    said = {int(n) for n in re.findall(r"\b\d+\b", notes.split("\nReferences\n")[0])}
    for kernel in kernels():
        if kernel.rule in OPTIMIZERS[name].rules and kernel.dtype == "f32":
            states = len(kernel.state)
            moved = 12 + 8 * states - 4 * ("x0" in kernel.state)
            assert {4 * states, *PASSES.get(kernel.rule, (moved,))} <= said, kernel
            assert set(re.findall(r"`(\w+)`", notes)) >= set(kernel.state)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_signature_has_every_option_in_order(name: str) -> None:
    first, *rest = inspect.signature(OPTIMIZERS[name]).parameters.values()
    assert first.name == "params"
    assert [p.name for p in rest] == list(OPTIMIZERS[name].options)


def test_a_class_whose_options_are_not_its_rules_is_refused() -> None:
    with pytest.raises(TypeError, match=r"options set \['lr'\].*'weight_decay'"):

        class Short(Optimizer):
            rules = ("sgd",)
            lr: float = real(default=1e-3)

    assert "Short" not in OPTIMIZERS


def test_import_brings_numpy_and_nothing_heavy() -> None:
    code = "import sys, json, gradstep; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    loaded = {name.split(".")[0] for name in json.loads(out)}
    heavy = {"torch", "scipy", "sklearn", "dask", "matplotlib", "pandas", "jax"}
    assert "numpy" in loaded
    assert not loaded & heavy


def test_info_names_what_a_bug_report_needs() -> None:
    out = subprocess.run(
        [sys.executable, "-m", "gradstep", "info", "--json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(out)
    assert found["isa"] == gs.isa()
    assert set(found["rules"]) == {*RULES, *SUMS_ONLY}
    assert found["build"] == gs.build_config()
    assert found["threads"] == gs.get_num_threads()
    assert found["threads_from"]


def test_the_demo_prints_the_fit_and_every_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # One round in the place of many: the times are not looked at.
    once = functools.partial(roofline.interleaved, rounds=1)
    monkeypatch.setattr(demo, "interleaved", lambda calls, **_: once(calls))
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "    9  0.55894282  0.42792729" in out
    assert "exact  0.94805728  0.05043566" in out
    for rule in (rule for cls in OPTIMIZERS.values() for rule in cls.rules):
        assert re.search(rf"^ +{rule} +\d", out, re.M), rule
