"""`gradstep.save` and `load`: going on bit for bit, and files that are not right."""

import functools
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open

import gradstep as gs
from gradstep import lls
from gradstep import lr_scheduler as lrs
from saving import STEPS, TYPES, image, make, run, same
from support import floats
from variants import VARIANTS

variants = pytest.mark.parametrize("variant", VARIANTS)
f4 = np.float32


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
