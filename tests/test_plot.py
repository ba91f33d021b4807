"""What pictures show, read from their artists."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

import gradstep as gs

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend

from gradstep import plot


def test_schedules_are_drawn_as_they_are() -> None:
    warm = gs.schedules.Warmup(gs.schedules.CosineAnnealing(30), 9)
    step = gs.schedules.Step(11)
    first, second = plot.schedule(warm, step, steps=40, base=0.3)
    for line, schedule in ((first, warm), (second, step)):
        t, y = line.get_xdata(), line.get_ydata()
        assert np.asarray(t).tolist() == list(range(40))
        assert np.asarray(y).tolist() == schedule(range(40), 0.3).tolist()
    assert first.get_label().replace("\n", " ") == repr(warm)
    assert first.get_drawstyle() == "steps-post"
    assert first.axes.get_xlabel() == "step"
    texts = first.figure.legends[0].get_texts()
    assert [text.get_text() for text in texts] == [
        first.get_label(),
        second.get_label(),
    ]
    plt.close("all")


def test_schedulers_begin_where_their_optimizer_does() -> None:
    groups = [{"params": np.ones(2)}, {"params": np.ones(3), "lr": 0.7}]
    opt = gs.SGD(groups, lr=0.2)
    _, ax = plt.subplots()
    lines = plot.schedule(gs.lr_scheduler.StepLR(opt, 2, 0.5), steps=4, ax=ax)
    assert [line.axes for line in lines] == [ax, ax]
    assert [line.get_label() for line in lines] == [
        "StepLR, group 0",
        "StepLR, group 1",
    ]
    assert np.allclose(lines[1].get_ydata(), [0.7, 0.7, 0.35, 0.35])
    alike = gs.lr_scheduler.OneCycleLR(opt, 0.1, 10)
    assert [line.get_label() for line in plot.schedule(alike, steps=4)] == [
        "OneCycleLR"
    ]
    plt.close("all")


def test_long_runs_are_drawn_with_few_points() -> None:
    (line,) = plot.schedule(gs.schedules.Exponential(0.999999), steps=10**9)
    t = np.asarray(line.get_xdata())
    assert t[0] == 0
    assert t[-1] == 10**9 - 1
    assert t.size <= 4000
    plt.close("all")


def test_bad_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="pass at least one"):
        plot.schedule(steps=3)
    with pytest.raises(TypeError, match="expected a schedule or scheduler, got float"):
        plot.schedule(0.1, steps=3)  # type: ignore[arg-type]
    for steps in (0, 2.5, True):
        with pytest.raises(ValueError, match="steps must be an int of at least 1"):
            plot.schedule(gs.schedules.Step(3), steps=steps)  # type: ignore[arg-type]


def test_gradstep_needs_no_matplotlib() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import gradstep\n"
        "try: import gradstep.plot\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    expected = "gradstep.plot needs matplotlib; pip install 'gradstep[plot]'"
    assert done.stdout.strip() == expected
