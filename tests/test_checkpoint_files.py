"""Files that are damaged, changed, foreign or of other objects."""

import functools
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.linear_model import Ridge

import gradstep as gs
from gradstep import lls
from gradstep import lr_scheduler as lrs
from gradstep.checkpoint import container
from gradstep.sklearn import LLSRegressor
from saving import image, make, run
from variants import MEAN

f4 = np.float32


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "run"
    params, opt, scheduler = make("adamw")
    run(params, opt, scheduler, 0)
    gs.save(path, opt, scheduler)
    return path.read_bytes()


REFUSED = (ValueError, TypeError, KeyError)


def refused(path: Path, data: bytes, words: str | None = None) -> None:
    """Check that a file is refused, and changes nothing."""
    path.write_bytes(data)
    params, opt, scheduler = make("adamw")
    run(params, opt, scheduler, 3)
    before = image(params, opt), scheduler.state_dict()
    with pytest.raises(REFUSED, match=words):
        gs.load(path, opt, scheduler)
    assert (image(params, opt), scheduler.state_dict()) == before


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_is_overlooked(saved: bytes, tmp_path: Path, data: Any) -> None:
    n = len(saved)
    kind = data.draw(st.sampled_from(["flip", "cut", "swap", "insert"]))
    at = data.draw(st.integers(0, n - 2))
    spoilt = bytearray(saved)
    if kind == "flip":
        spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del spoilt[at:]
    elif kind == "swap":
        other = data.draw(st.integers(0, n - 1))
        spoilt[at], spoilt[other] = spoilt[other], spoilt[at]
    else:
        spoilt[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    header = 8 + struct.unpack("<Q", saved[:8])[0]
    try:
        # White space in the header, and how it is spelled, are no damage.
        unharmed = json.loads(spoilt[8:header]) == json.loads(saved[8:header])
    except ValueError:
        unharmed = False
    if not (unharmed and spoilt[:8] == saved[:8] and spoilt[header:] == saved[header:]):
        refused(tmp_path / "run", bytes(spoilt))


def rewritten(saved: bytes, change: Any) -> bytes:
    """Return a file whose header has been changed by hand, of the same arrays."""
    length = struct.unpack("<Q", saved[:8])[0]
    header = json.loads(saved[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + saved[8 + length :]


HEADERS: dict[str, tuple[Any, str]] = {
    "no metadata": (lambda h: h.pop("__metadata__"), "was not written by gradstep"),
    "format": (lambda h: h["__metadata__"].update(format="pt"), "not written by"),
    "version": (lambda h: h["__metadata__"].update(version="9"), "is of version '9'"),
    "tree": (lambda h: h["__metadata__"].update(tree="[]"), "damaged: its metadata"),
    "shape": (lambda h: h["0.params.0"].update(shape=[20, 15]), "not what was written"),
    "type": (lambda h: h["0.params.1"].update(dtype="I64"), "not what was written"),
    "huge": (lambda h: h["0.params.1"].update(shape=[2**60]), "damaged"),
    "renamed": (lambda h: h.update(x=h.pop("0.params.1")), "other arrays"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_were_changed(case: str, saved: bytes, tmp_path: Path) -> None:
    change, words = HEADERS[case]
    refused(tmp_path / "run", rewritten(saved, change), words)


@pytest.mark.parametrize(
    "arrays", ["[]", "{", "3", '{"0.params.0": 5}', '{"a": ["I8", [1], "C", ""]}', None]
)
def test_headers_with_a_sum_that_fits(
    arrays: str | None, saved: bytes, tmp_path: Path
) -> None:
    def forge(header: dict[str, Any]) -> None:
        notes = header["__metadata__"]
        if arrays is None:
            del notes["tree"]
        else:
            notes["arrays"] = arrays
        notes["sum"] = container._digest_of_notes(notes)

    refused(
        tmp_path / "run", rewritten(saved, forge), "is not what gradstep.save writes"
    )


def test_parameters_that_cannot_be_written(tmp_path: Path) -> None:
    w = np.ones(3)
    opt = gs.Adam(w, lr=0.5)
    opt.step(np.ones(3))
    gs.save(tmp_path / "run", opt)
    v = np.zeros(3)
    other = gs.Adam(v, lr=0.1)
    v.flags.writeable = False
    with pytest.raises(
        ValueError, match="parameter 0 goes to an array that is read-on"
    ):
        gs.load(tmp_path / "run", other)
    assert (other.lr, other.state[0]["step"]) == (0.1, 0)


def test_a_tree_too_deep_to_be_read_is_not_written(tmp_path: Path) -> None:
    deep: Any = 0
    for _ in range(300):
        deep = [deep]
    opt = gs.Adam([{"params": np.ones(2), "initial_lr": 0.1}])
    opt.param_groups[0]["initial_lr"] = deep
    with pytest.raises(ValueError, match="is nested too deeply"):
        gs.save(tmp_path / "run", opt)
    assert os.listdir(tmp_path) == []


# What torch's own classes look like, which are not here.
Optimizer = type("Optimizer", (), {"__module__": "torch.optim.optimizer"})
Module = type("Module", (), {"__module__": "torch.nn.modules.module"})
Tensor = type("Tensor", (), {"__module__": "torch"})
X, Y = np.arange(8.0).reshape(4, 2) ** 2, np.arange(4.0)

NOT_SAVED: dict[str, tuple[Any, str]] = {
    "Solution": (lambda: lls.solve(X, Y), r"numpy\.savez\(path, coef=x\.coef"),
    "Ridge": (Ridge, r"joblib\.dump\(x, path\)"),
    "LLSRegressor": (LLSRegressor, r"joblib\.dump\(x, path\)"),
    "AdamW": (
        type("AdamW", (Optimizer,), {}),
        r"torch\.save\(opt\.state_dict\(\), path\)",
    ),
    "Linear": (
        type("Linear", (Module,), {}),
        r"torch\.save\(model\.state_dict\(\), path\)",
    ),
    "Tensor": (Tensor, r"torch\.save\(tensor, path\)"),
}


@pytest.mark.parametrize("kind", NOT_SAVED)
def test_objects_of_others_are_refused_with_the_call_that_saves_them(
    kind: str, tmp_path: Path
) -> None:
    make_one, remedy = NOT_SAVED[kind]
    x = make_one()
    with pytest.raises(
        TypeError, match=rf"save: {kind} is not saved here; use {remedy}"
    ):
        gs.save(tmp_path / "run", gs.SGD(np.ones(2)), x)
    assert os.listdir(tmp_path) == []


def test_the_optimizer_of_a_fit_is_saved(tmp_path: Path) -> None:
    fit = lls.fit(X, Y, optimizer=functools.partial(gs.SGD, lr=1e-4), epochs=3)
    gs.save(tmp_path / "run", fit.optimizer)
    w = np.zeros(2)
    gs.load(tmp_path / "run", gs.SGD([w]))
    assert w.tobytes() == fit.coef.tobytes()


def test_files_of_others(tmp_path: Path) -> None:
    save_file({"w": np.ones(3)}, tmp_path / "other")
    foreign = (tmp_path / "other").read_bytes()
    refused(tmp_path / "run", foreign, "was not written by gradstep.save")
    refused(tmp_path / "run", b"", "is no safetensors file")
    refused(tmp_path / "run", b"\xff" * 64, "is no safetensors file")
    refused(tmp_path / "run", pickle.dumps({}), "is no safetensors file")
    with pytest.raises(FileNotFoundError):
        gs.load(tmp_path / "none", gs.SGD(np.ones(3)))


def test_what_was_saved_of_other_objects(tmp_path: Path) -> None:
    opt = gs.Adam(np.ones(3))
    opt.step(np.ones(3))
    gs.save(tmp_path / "run", opt)
    for objects, words in (
        ([gs.AdamW(np.zeros(3))], "has Adam, expected AdamW"),
        ([gs.Adam(np.zeros(3))] * 2, "has Adam, expected Adam, Adam"),
        ([], "has Adam, expected nothing"),
        ([gs.Adam(np.zeros(4))], r"parameter 0 has shape \(3,\), expected \(4,\)"),
        ([gs.Adam(np.zeros(3, f4))], "parameter 0 has dtype float64, expected float32"),
        ([gs.Adam([np.zeros(3)] * 0 + [np.zeros(3), np.zeros(2)])], "expected 2"),
    ):
        with pytest.raises(REFUSED, match=words):
            gs.load(tmp_path / "run", *objects)
        assert all(not x.param_groups[0]["params"][0].any() for x in objects)


def test_a_second_object_that_does_not_fit_leaves_the_first(tmp_path: Path) -> None:
    params, opt, scheduler = make("adamw")
    run(params, opt, scheduler, 0)
    gs.save(tmp_path / "run", opt, scheduler)
    params, opt, _ = make("adamw")
    other = lrs.ExponentialLR(opt, 0.5)
    run(params, opt, other, 3)
    before = image(params, opt)
    with pytest.raises(ValueError, match=r"gamma=0\.9"):
        gs.load(tmp_path / "run", opt, other)
    assert image(params, opt) == before


def test_a_write_that_fails_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt = gs.Adam(np.ones(3))
    gs.save(tmp_path / "run", opt)
    before = (tmp_path / "run").read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    opt.step(np.ones(3))
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(OSError, match="No space"):
                gs.save(tmp_path / "run", opt)
        assert (tmp_path / "run").read_bytes() == before
        assert os.listdir(tmp_path) == ["run"]
    gs.save(tmp_path / "run", opt)
    assert (tmp_path / "run").read_bytes() != before


def test_a_link_and_a_path_are_taken(tmp_path: Path) -> None:
    w = np.ones(3)
    opt = gs.Adam(w, **MEAN)
    gs.save(str(tmp_path / "run"), opt)
    w[...] = 5
    gs.load(os.fspath(tmp_path / "run"), opt)
    assert w.tolist() == [1, 1, 1]
