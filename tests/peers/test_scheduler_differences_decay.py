"""Where schedules by factors part from torch's on purpose: what either gives."""

import pytest
from schedule_harness import TORCHS, about, alone, both, ours_only, torchs_only


def test_constant_of_zero() -> None:
    """Torch divides by it at the end."""
    assert ours_only(4, "ConstantLR", 0.0, 3) == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert torchs_only(2, "ConstantLR", 0.0, 3) == [0.0, 0.0, 0.0]
    with pytest.raises(ZeroDivisionError):
        torchs_only(3, "ConstantLR", 0.0, 3)


@pytest.mark.parametrize(
    ("name", "arguments", "end", "torchs"),
    [
        ("ConstantLR", (0.5, 0), 1.0, 0.5),
        ("LinearLR", (0.5, 0.75, 0), 0.75, 0.5),
        ("PolynomialLR", (0,), 0.0, 1.0),
    ],
)
def test_over_no_steps(
    name: str, arguments: tuple[float, ...], end: float, torchs: float
) -> None:
    """It is at its end; torch's stays at the start for ever."""
    ours, theirs = both(3, name, *arguments)
    assert ours == [end] * 4
    assert theirs == [torchs] * 4


def test_torchs_constant_for_no_steps_has_another_closed_form() -> None:
    assert TORCHS.ConstantLR(alone(TORCHS), 0.5, 0)._get_closed_form_lr() == [1.0]


def test_constant_ends_exactly_at_the_base() -> None:
    """Torch multiplies by the inverse of the factor, which is rounded."""
    ours, theirs = both(1, "ConstantLR", 0.9, 1, lr=0.7)
    assert (ours[1], theirs[1]) == (0.7, 0.7000000000000001)


def test_linear_ends_exactly_at_its_end() -> None:
    """Torch's recursion leaves a remainder."""
    ours, theirs = both(102, "LinearLR", 1.0, 0.1, 100)
    assert ours[100:] == [0.1, 0.1, 0.1]
    assert theirs[100:] == [0.0999999999999998] * 3
    ours, theirs = both(3000, "LinearLR", 1 / 3, 0.0, 3000)
    assert ours[-1] == 0.0
    assert 1e-18 < abs(theirs[-1]) < 1e-15


def test_exponential_decays_to_zero() -> None:
    """Torch's is stuck where 0.9 times a subnormal number rounds to the same."""
    ours, theirs = both(8000, "ExponentialLR", 0.9)
    assert ours[-1] == 0.0
    assert theirs[-1] == 5 * 5e-324


def test_exponential_whose_factor_alone_leaves_the_range() -> None:
    """The power is formed first; torch has only the product."""
    ours, theirs = both(1023, "ExponentialLR", 2.0, lr=2.0**-100)
    assert ours[1023] == theirs[1023] == 2.0**923
    with pytest.raises(ValueError, match="would be inf at step 1024; nothing was set"):
        both(1024, "ExponentialLR", 2.0, lr=2.0**-100)
    ours, theirs = both(1080, "ExponentialLR", 0.5, lr=2.0**100)
    assert ours[1074] == theirs[1074] == 2.0**-974
    assert (ours[1080], theirs[1080]) == (0.0, 2.0**-980)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("ConstantLR", (1.5, 2), [1.5, 1.5, 1.0, 1.0]),
        ("LinearLR", (0.0, 1.0, 2), [0.0, 0.5, 1.0, 1.0]),
        ("LinearLR", (0.5, 2.0, 3), [0.5, 1.0, 1.5, 2.0, 2.0]),
        ("LinearLR", (2.0, 1.0, 2), [2.0, 1.5, 1.0, 1.0]),
    ],
)
def test_factors_of_any_size(
    name: str, arguments: tuple[float, ...], expected: list[float]
) -> None:
    """Which torch refuses: its recursion would divide by them, or might."""
    assert ours_only(len(expected) - 1, name, *arguments) == about(*expected)
    with pytest.raises(ValueError, match="expected to be"):
        torchs_only(0, name, *arguments)
