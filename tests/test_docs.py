"""The examples in docstrings and in the README run as they stand."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

import gradstep
from gradstep.optimizer import OPTIMIZERS

MODULES = [
    m.name
    for m in pkgutil.walk_packages(gradstep.__path__, "gradstep.")
    if not m.name.endswith("__main__")
    and not m.name.startswith("gradstep.torch")  # see tests/adapter
]


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_readme() -> None:
    readme = Path(__file__).parent.parent / "README.md"
    result = doctest.testfile(str(readme), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_class_has_an_example(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(OPTIMIZERS[name], name)
    assert len(found.examples) >= 3
