"""The examples in docstrings run as they stand, and every class has its documents."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import gradstep.torch as gst
from gradstep.optimizer import OPTIMIZERS

MODULES = ["gradstep.torch"] + [
    m.name for m in pkgutil.iter_modules(gst.__path__, "gradstep.torch.")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted >= (9 if name == "gradstep.torch" else 0)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_class_tells_of_tensors(name: str) -> None:
    cls = getattr(gst, name)
    assert "params : iterable of tensors" in cls.__doc__
    assert ">>>" not in cls.__doc__
    listed = inspect.signature(cls).parameters
    assert set(OPTIMIZERS[name].options) <= set(listed)
    assert cls.__module__ == "gradstep.torch"
