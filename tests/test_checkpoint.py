"""`gradstep.save` and `load`: going on bit for bit, and files that are not right."""

import functools
import json
import math
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import gradstep as gs
from gradstep import lls
from gradstep import lr_scheduler as lrs
from gradstep.checkpoint import container, tree
from support import floats
from variants import MEAN, VARIANTS

f4 = np.float32
variants = pytest.mark.parametrize("variant", VARIANTS)
STEPS = 5

TYPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "f32": (np.dtype(f4), {}),
    "f64": (np.dtype(float), {}),
    "f16": (np.dtype(np.float16), {}),
    "bf16": (gs.bfloat16, {}),
    "master": (gs.bfloat16, {"master": "float32"}),
    "split": (gs.bfloat16, {"master": "split", "state_dtype": "bfloat16", "seed": 2}),
    "stochastic": (gs.bfloat16, {"rounding": "stochastic", "seed": 3}),
    "uint8": (np.dtype(f4), {"state_dtype": "uint8", "seed": 4}),
}


def of_type(x: Any, dtype: Any) -> Any:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


def make(variant: str, kind: str = "f64") -> tuple[list[Any], gs.Optimizer, Any]:
    """Return parameters, an optimizer of them, and its scheduler."""
    cls, options = VARIANTS[variant]
    dtype, storage = TYPES[kind]
    params = [of_type(floats(k, n, f4), dtype) for k, n in ((1, 300), (2, 7))]
    params[0] = np.asarray(params[0].reshape(20, 15), order="F")
    opt = cls(params, **options, **storage)
    if cls is gs.Rprop:  # whose lr cannot change
        return params, opt, gs.SGD(np.ones(1))
    return params, opt, lrs.ExponentialLR(opt, 0.9)


def run(
    params: list[Any], opt: gs.Optimizer, scheduler: Any, first: int, last: int = STEPS
) -> None:
    for t in range(first, last):
        kind = np.float64 if params[0].dtype == float else f4
        grads = [floats(10 * t + k, p.size, kind) for k, p in enumerate(params)]
        opt.step([grads[0].reshape(20, 15), None if t % 3 == 2 else grads[1]])
        if not isinstance(opt, gs.Rprop):
            scheduler.step()


def image(params: list[Any], opt: gs.Optimizer) -> list[bytes]:
    kept = [np.asarray(a) for state in opt.state for a in state.values()]
    return [a.tobytes("A") for a in (*params, *kept)] + [repr(opt).encode()]


@functools.cache
def straight(variant: str, kind: str) -> list[bytes]:
    params, opt, scheduler = make(variant, kind)
    run(params, opt, scheduler, 0)
    return image(params, opt)


def stop_and_go(variant: str, kind: str, taken: int, path: Path) -> None:
    params, opt, scheduler = make(variant, kind)
    run(params, opt, scheduler, 0, taken)
    gs.save(path, opt, scheduler)
    again, other, another = make(variant, kind)
    for p in again:
        p.view(np.uint8 if p.ndim < 2 else p.dtype).fill(0)
    gs.load(path, other, another)
    run(again, other, another, taken)
    assert image(again, other) == straight(variant, kind)


@pytest.mark.parametrize("kind", TYPES)
@variants
def test_every_rule_goes_on_from_every_step(
    variant: str, kind: str, tmp_path: Path
) -> None:
    for taken in range(STEPS + 1):
        stop_and_go(variant, kind, taken, tmp_path / "run")


def test_wrappers_trainers_and_plateaus(tmp_path: Path) -> None:
    X, y = floats(1, 400, float).reshape(100, 4), floats(2, 100, float)
    base = functools.partial(gs.Adam, lr=0.1)

    def begin() -> list[Any]:
        sam = gs.SAM(np.ones(3), base)
        free = gs.ScheduleFree({"w": np.ones(3)}, base)
        plateau = lrs.ReduceLROnPlateau(sam.base, patience=0)
        return [sam, free, plateau, lls.Trainer(4, optimizer=base, batch_size=10)]

    def go(objects: list[Any]) -> None:
        sam, free, plateau, trainer = objects
        sam.first_step(np.full(3, 0.3))
        sam.second_step(np.full(3, 0.2))
        free.step({"w": np.full(3, 0.4)})
        plateau.step(math.inf)
        trainer.partial_fit(X, y)

    ours, theirs = begin(), begin()
    go(ours)
    gs.save(tmp_path / "all", *ours)
    gs.load(tmp_path / "all", *theirs)
    go(ours)
    go(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert same(one.state_dict(), other.state_dict())
    assert ours[0].param_groups[0]["params"][0].tolist() == (
        theirs[0].param_groups[0]["params"][0].tolist()
    )


def test_parameters_are_matched_by_name(tmp_path: Path) -> None:
    a, b = np.full(2, 1.0), np.full(2, 2.0)
    opt = gs.SGD({"a": a, "b": b}, momentum=0.9)
    opt.step({"a": a.copy(), "b": b.copy()})
    gs.save(tmp_path / "run", opt)
    c, d = np.zeros(2), np.zeros(2)
    gs.load(tmp_path / "run", gs.SGD({"b": c, "a": d}))
    assert (c.tolist(), d.tolist()) == (b.tolist(), a.tolist())


def test_bfloat16_of_either_kind_and_what_others_read(tmp_path: Path) -> None:
    x = floats(1, 12, f4).reshape(3, 4)
    w = np.asarray(x.astype(ml_dtypes.bfloat16), order="F")
    gs.save(tmp_path / "run", gs.SGD(w))
    v = gs.to_bfloat16(np.zeros((3, 4)))
    gs.load(tmp_path / "run", gs.SGD(v))
    np.testing.assert_array_equal(gs.from_bfloat16(v), w.astype(f4))
    with safe_open(tmp_path / "run", "np") as file:
        assert file.keys() == ["0.params.0"]
        assert file.get_slice("0.params.0").get_dtype() == "BF16"
        assert file.get_slice("0.params.0").get_shape() == [4, 3]  # transposed


# -- trees


leaves = st.one_of(
    *(st.none(), st.booleans(), st.text(max_size=5), st.integers(-(2**70), 2**70)),
    st.floats(),
    st.integers(0, 3).map(lambda n: np.arange(n, dtype=f4)),
)
keys = st.one_of(st.text(max_size=3), st.integers(-2, 2), st.just("$array"))
trees = st.recursive(
    leaves,
    lambda x: st.one_of(
        st.lists(x, max_size=3),
        st.lists(x, max_size=3).map(tuple),
        st.dictionaries(keys, x, max_size=3),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)  # noqa: PLR0124  # NaN


@given(trees)
def test_a_tree_comes_back_as_it_was(x: Any) -> None:
    text, arrays = tree.flatten(x)
    assert same(tree.restored(json.loads(json.dumps(text)), arrays), x)


def test_a_tree_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    class Odd:
        def state_dict(self) -> Any:
            return {"a": [1, {"f": len}]}

        def load_state_dict(self, state: Any) -> None:
            raise NotImplementedError

    with pytest.raises(TypeError, match=r"save: 0\.state\.a\.1\.f is of type builtin"):
        gs.save(tmp_path / "run", Odd())
    with pytest.raises(TypeError, match=r"objects must be optimizers, .*, got dict"):
        gs.save(tmp_path / "run", {})
    assert os.listdir(tmp_path) == []


# -- files that are not right


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
