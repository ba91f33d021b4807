"""Pictures, by matplotlib, which only this package needs.

Each function draws on axes of the caller, or on a new figure of its own, and returns
what it drew; showing and saving are matplotlib's: ``matplotlib.pyplot.show()``,
``lines[0].figure.savefig("rates.png")``. Here is a tour.

How large a step may be, on a parabola of curvature 1: below 1, descent creeps from one
side; above 2, it diverges.

>>> import functools, gradstep as gs, gradstep.plot
>>> drawn = gs.plot.learning_rates([0.1, 1.0, 2.1])
>>> [line.axes.get_title() for line in drawn.iterates]
['lr = 0.1 < 1/L: slow', 'lr = 1 = 1/L: right', 'lr = 2.1 > 2/L: diverges']

Least squares by all rows at once, by 32, and one by one: in two epochs the first has
taken two steps, the last 1138.

>>> sgd = functools.partial(gs.SGD, lr=0.01)
>>> ways = gs.plot.lls_paths(optimizer=sgd, epochs=2)
>>> [len(coefs) - 1 for coefs in ways.coefs]
[2, 36, 1138]

What they lead to, and how fast, `lls3d` and `convergence` show:

>>> from gradstep import lls
>>> from gradstep.datasets import wdbc
>>> X, y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
>>> fit = lls.fit(X, y, optimizer=functools.partial(gs.SGD, lr=1e-3), batch_size=10)
>>> plane = gs.plot.lls3d(X, y, fit, names=["radius", "area", "perimeter"])
>>> losses = gs.plot.convergence(fit, labels=["batches of 10"])

Noise that such steps leave is a matter of the rate, which schedules lower:

>>> cosine = gs.schedules.CosineAnnealing(T_max=90)
>>> lines = gs.plot.schedule(cosine, gs.schedules.Warmup(cosine, 10), steps=100)
>>> lines[0].get_label()
'CosineAnnealing(T_max=90)'

Several methods on one surface: at a saddle point plain descent stays, and what divides
by the size of gradients leaves. `paths` has the numbers without a picture, and
`animate` makes a film of it.

>>> from gradstep.testfunctions import saddle
>>> methods = {
...     "SGD": functools.partial(gs.SGD, lr=0.05),
...     "RMSprop": functools.partial(gs.RMSprop, lr=0.02),
... }
>>> drawn = gs.plot.trajectories(saddle, methods, steps=80)
>>> [line.get_label() for line in drawn.lines]
['SGD', 'RMSprop (left at step 12)']
>>> bool((abs(drawn.paths[0].points[-1]) < 1e-3).all())
True
>>> import matplotlib.pyplot
>>> matplotlib.pyplot.close("all")

``gradstep.plot.gallery.write("pictures")`` writes these and more, with a page that
explains them.
"""

try:
    import matplotlib  # noqa: F401  # here, so that its lack is named once
except ImportError as missing:
    raise ImportError(
        "gradstep.plot needs matplotlib; pip install 'gradstep[plot]'"
    ) from missing

from gradstep.plot import gallery
from gradstep.plot.animation import animate
from gradstep.plot.batches import LLSPaths, lls_paths
from gradstep.plot.contours import Contours
from gradstep.plot.lls import Plane, lls3d
from gradstep.plot.losses import Losses, convergence
from gradstep.plot.rates import LearningRates, learning_rates
from gradstep.plot.runs import Path, paths
from gradstep.plot.schedules import schedule
from gradstep.plot.trajectory import Trajectories, trajectories

__all__ = [
    "Contours",
    "LLSPaths",
    "LearningRates",
    "Losses",
    "Path",
    "Plane",
    "Trajectories",
    "animate",
    "convergence",
    "gallery",
    "learning_rates",
    "lls3d",
    "lls_paths",
    "paths",
    "schedule",
    "trajectories",
]
