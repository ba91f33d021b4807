"""An estimator whose call fails stays as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The optimizer or trainer behind the fitted attributes.
ENGINE = "_engine"


def _fitted(model: Any) -> dict[str, Any]:
    """Return what fits write: attributes that end in "_", as scikit-learn has it."""
    return {
        name: value
        for name, value in vars(model).items()
        if name == ENGINE or name.endswith("_")
    }


@contextmanager
def unchanged_on_error(model: Any) -> Iterator[None]:
    """Put fitted attributes back if the block raises; fits replace them as a whole."""
    before = _fitted(model)
    try:
        yield
    except BaseException:
        for name in _fitted(model).keys() - before.keys():
            del vars(model)[name]
        vars(model).update(before)
        raise
