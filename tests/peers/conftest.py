"""Fixtures of the comparisons with other libraries."""

import numpy as np
import pytest


@pytest.fixture(params=range(3))
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)
