"""The loss over the epochs."""

from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from gradstep.plot.arguments import Floats, finite, numbers, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

# Up to so many epochs each has a marker.
_MARKED = 30

_MARKERS = "osD^vP*X"

# Letters in a row of the legend.
_WIDTH = 90


class Losses(NamedTuple):
    """What `convergence` drew: for each fit a line, and one of validation or None."""

    loss: list[Line2D]
    validation_loss: list[Line2D | None]


def convergence(
    *fits: Any,
    labels: "Sequence[str] | None" = None,
    exact: float | None = None,
    ax: Axes | None = None,
) -> Losses:
    r"""Draw the loss of fits over the epochs, on a logarithmic axis.

    With `exact`, the excess loss :math:`f(w_k) - f(w^*)` of each epoch :math:`k`: a
    straight line then is linear convergence.

    Parameters
    ----------
    *fits : array_like of shape (epochs,), or fits
        The loss of each epoch, from epoch 0, at least one; or what has the attribute
        `loss`, such as what `gradstep.lls.fit` returns. Its `validation_loss`, if it
        has one that is not None, is drawn dashed in the same colour.
    labels : sequence of str, optional
        One for each fit; by default their number, and their optimizer if they have one.
    exact : float, optional
        The loss of the exact solution, in the units of the losses: if they are means
        over rows, so is it. It is taken from validation losses, too.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Losses
        The lists `loss` and `validation_loss` of lines, in the order of the fits.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    What a logarithmic axis cannot show is a gap: NaN, infinity, 0 and below. A fit that
    is as good as the exact solution has differences that are rounding, some
    :math:`10^{-16}` of the loss, of either sign. The label of a line of which nothing
    can be shown says so.

    Examples
    --------
    >>> import gradstep as gs, gradstep.plot
    >>> slow, fast = [8.0, 4.0, 2.0, 1.0], [8.0, 2.0, 0.5, 0.125]
    >>> drawn = gs.plot.convergence(slow, fast, labels=["SGD", "Adam"])
    >>> [line.get_label() for line in drawn.loss]
    ['SGD', 'Adam']
    """
    if not fits:
        raise TypeError("plot.convergence: pass at least one fit or array of losses")
    curves = [_curves(k, fit) for k, fit in enumerate(fits)]
    named = _labels(fits, labels)
    least = 0.0 if exact is None else _exact(exact)
    if ax is not None and (not isinstance(ax, Axes) or ax.name == "3d"):
        raise TypeError(
            "plot.convergence: ax must be 2-D axes, such as of plt.subplots(), got "
            f"{type(ax).__name__}"
        )
    figure = None
    if ax is None:
        figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    drawn = _draw(ax, curves, named, least)
    _scale(ax)
    label = "loss" if exact is None else "excess loss"
    ax.set(xlabel="epoch", ylabel=label)
    ax.grid(visible=True, alpha=0.3)
    _legend(figure, ax, drawn)
    return drawn


def _curves(k: int, fit: Any) -> tuple[Floats, Floats | None]:
    """Return the losses of a fit, and those of its validation."""
    name = f"plot.convergence: fits[{k}]"
    if not hasattr(fit, "loss"):
        return _losses(name, fit), None
    loss = _losses(f"{name}.loss", fit.loss)
    held_out = getattr(fit, "validation_loss", None)
    if held_out is None:
        return loss, None
    validation = _losses(f"{name}.validation_loss", held_out)
    if validation.shape != loss.shape:
        raise ValueError(
            f"{name}.validation_loss has {validation.size} epochs, loss has "
            f"{loss.size}; pass NaN for an epoch without one"
        )
    return loss, validation


def _losses(name: str, value: object) -> Floats:
    a = numbers(name, value)
    if a.ndim != 1 or not a.size:
        raise ValueError(
            f"{name} must have shape (epochs,), at least one epoch, got {a.shape}; of "
            "several targets pass the sum, or each as a fit of its own"
        )
    return a


def _exact(value: object) -> float:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError("plot.convergence: exact must be a number, got bool")
    a = finite("plot.convergence: exact", value)
    if a.ndim:
        raise ValueError(
            "plot.convergence: exact must be one number, the loss of the exact "
            f"solution, got shape {a.shape}"
        )
    return float(a)


def _labels(fits: tuple[Any, ...], labels: object) -> tuple[str, ...]:
    if labels is not None:
        found = texts("plot.convergence: labels", labels, len(fits), "['SGD', 'Adam']")
        for k, label in enumerate(found):
            if label.startswith("_") or not label.strip():
                raise ValueError(
                    f"plot.convergence: labels[{k}] is {label!r}, which legends leave "
                    "out; begin it with a letter"
                )
    else:
        found = tuple(
            f"fit {k}, {type(fit.optimizer).__name__}"
            if hasattr(fit, "optimizer")
            else f"fit {k}"
            for k, fit in enumerate(fits)
        )
    return tuple(fill(label, 60) for label in found)


def _draw(
    ax: Axes,
    curves: list[tuple[Floats, Floats | None]],
    labels: tuple[str, ...],
    least: float,
) -> Losses:
    # From dark to light, so that they are told apart without colours, too.
    colours = plt.colormaps["viridis"](np.linspace(0.0, 0.85, len(curves)))
    drawn = Losses([], [])
    for k, (loss, validation) in enumerate(curves):
        style = {"color": colours[k], "marker": _MARKERS[k % len(_MARKERS)]}
        drawn.loss.append(_line(ax, labels[k], loss - least, style))
        line = None
        if validation is not None:
            label = f"{labels[k]}, validation"
            line = _line(ax, label, validation - least, style | {"linestyle": "--"})
        drawn.validation_loss.append(line)
    return drawn


def _line(ax: Axes, label: str, y: Floats, style: dict[str, Any]) -> Line2D:
    y = np.where(np.isfinite(y) & (y > 0), y, np.nan)
    if np.isnan(y).all():
        label = f"{label} (none above 0)"
    marked = _marked(y)
    if not marked:
        style = style | {"marker": "None"}
    (line,) = ax.plot(
        y, label=label, markevery=marked, markersize=4, linewidth=1.5, **style
    )
    return line


def _marked(y: Floats) -> list[int]:
    """Return which points have markers: of many, those that no line would show."""
    there = np.isfinite(y)
    if y.size > _MARKED:
        beside = np.pad(there, 1)
        there &= ~beside[:-2] & ~beside[2:]
    return np.flatnonzero(there).tolist()


def _scale(ax: Axes) -> None:
    """Make the axis of losses logarithmic, and have ticks that can be read."""
    ax.set_yscale("log")
    whole = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    ax.xaxis.set_major_locator(whole)
    low, high = ax.get_ylim()
    if high < 2 * low:  # where ticks at powers of ten would be 1.0001 x 10^0
        ax.yaxis.set_major_locator(MaxNLocator(6))
        ax.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
        ax.yaxis.set_minor_locator(NullLocator())


def _legend(figure: "Figure | None", ax: Axes, drawn: Losses) -> None:
    """Name the lines, below the axes if the figure is ours and can be made higher."""
    handles = list(drawn.loss)
    if any(drawn.validation_loss):
        handles.append(Line2D([], [], color="0.4", linestyle="--", label="validation"))
    if figure is None:
        ax.legend(handles=handles, fontsize="small")
        return
    labels = [str(handle.get_label()) for handle in handles]
    widths = [max(map(len, label.split("\n"))) + 8 for label in labels]
    columns = len(labels)
    if sum(widths) > _WIDTH:
        columns = max(1, _WIDTH // max(widths))
    tallest = max(label.count("\n") + 1 for label in labels)
    rows = -(-len(labels) // columns) * tallest
    figure.set_figheight(4 + 0.2 * (rows - 1))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, fontsize="small"
    )
