"""A fit of least squares in a file, and back with its optimizer, bit for bit."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from gradstep.checkpoint import container
from saving import same

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(size=60)
TARGETS = RNG.normal(size=(60, 2))

adam = functools.partial(gs.AdamW, lr=0.05, weight_decay=0.01, amsgrad=True)
momentum = functools.partial(gs.SGD, lr=0.01, momentum=0.8)


class OwnAdam(gs.Adam):
    """A user's optimizer, which no file can build."""


FITS: dict[str, Any] = {
    "default": lambda: lls.fit(X, Y),
    "default with intercept": lambda: lls.fit(X, Y, intercept=True),
    "default of targets": lambda: lls.fit(X, TARGETS, intercept=True),
    "default in float32": lambda: lls.fit(X.astype("f"), Y.astype("f"), intercept=True),
    "AdamW": lambda: lls.fit(
        X, TARGETS, optimizer=adam, batch_size=7, epochs=3, intercept=True
    ),
    "momentum, validation": lambda: lls.fit(
        X, Y, optimizer=momentum, epochs=4, validation=(X[:9], Y[:9])
    ),
    "ScheduleFreeAdamW": lambda: lls.fit(
        X.astype("f"),
        Y.astype("f"),
        optimizer=functools.partial(gs.ScheduleFreeAdamW, lr=0.1),
        epochs=3,
    ),
}


@pytest.mark.parametrize("kind", FITS)
def test_a_loaded_fit_has_the_bits_and_types_of_the_saved_one(
    kind: str, tmp_path: Path
) -> None:
    fit = FITS[kind]()
    gs.save(tmp_path / "fit", fit)
    again = gs.load(tmp_path / "fit")
    assert type(again) is lls.Fit
    for field in dataclasses.fields(fit):
        if field.name != "optimizer":
            saved, loaded = getattr(fit, field.name), getattr(again, field.name)
            assert same(saved, loaded), field.name
            assert type(saved) is type(loaded), field.name
    assert type(again.optimizer) is type(fit.optimizer)
    assert same(again.optimizer.state_dict(), fit.optimizer.state_dict())


@pytest.mark.parametrize("kind", FITS)
def test_optimizers_of_a_saved_and_a_loaded_fit_go_on_with_the_same_bits(
    kind: str, tmp_path: Path
) -> None:
    fit = FITS[kind]()
    gs.save(tmp_path / "fit", fit)
    images = []
    for optimizer in (fit.optimizer, gs.load(tmp_path / "fit").optimizer):
        params = optimizer.__getstate__()["params"]
        # Gradients have the structure of the parameters.
        for _ in range(3):
            is_one = isinstance(params, np.ndarray)
            optimizer.step(
                np.sin(params) if is_one else [np.sin(param) for param in params]
            )
        images.append(optimizer.__getstate__())
    assert same(images[0]["params"], images[1]["params"])
    assert same(images[0]["state_dict"], images[1]["state_dict"])


def test_a_fit_is_saved_alone(tmp_path: Path) -> None:
    fit = lls.fit(X, Y)
    with pytest.raises(TypeError, match="save: a Fit is saved alone, got Fit, SGD; sa"):
        gs.save(tmp_path / "fit", fit, fit.optimizer)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_was_forgotten_is_named() -> None:
    words = "save: path must be str, bytes or os.PathLike, got Fit; the path is the fi"
    with pytest.raises(TypeError, match=words):
        gs.save(lls.fit(X, Y))  # type: ignore[arg-type]


def test_load_returns_a_fit_and_writes_to_none(tmp_path: Path) -> None:
    fit = lls.fit(X, Y)
    gs.save(tmp_path / "fit", fit)
    with pytest.raises(TypeError, match=r"load: a Fit is returned.*fit = gs\.load\("):
        gs.load(tmp_path / "fit", fit)
    with pytest.raises(ValueError, match="has Fit, expected SGD"):
        gs.load(tmp_path / "fit", fit.optimizer)
    gs.save(tmp_path / "run", fit.optimizer)
    with pytest.raises(ValueError, match="has SGD, expected nothing"):
        gs.load(tmp_path / "run")


def test_a_fit_with_an_optimizer_that_cannot_be_built_is_refused(
    tmp_path: Path,
) -> None:
    fit = lls.fit(X, Y, optimizer=OwnAdam, epochs=1)
    with pytest.raises(TypeError, match=r"class OwnAdam, which .*use pickle\.dump"):
        gs.save(tmp_path / "fit", fit)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": 3}, "has a Fit that is no dict"),
        ({"state": {}}, r"a Fit of another version .* lacks \['coef', 'epochs', "),
        ({"state": "more"}, r"and \['more'\] are unknown here"),
        ({"state": "optimizer"}, "optimizer cannot be built: 'NoSuch'"),
    ],
)
def test_fits_of_other_versions_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "fit")
    gs.save(path, lls.fit(X, Y))
    (entry,) = container.read(path)
    if change["state"] == "more":
        change = {"state": entry["state"] | {"more": 1}}
    elif change["state"] == "optimizer":
        described = entry["state"]["optimizer"] | {"class": "NoSuch"}
        change = {"state": entry["state"] | {"optimizer": described}}
    container.write(path, [entry | change])
    with pytest.raises(ValueError, match=words):
        gs.load(path)
