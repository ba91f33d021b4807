"""Pictures, by matplotlib, which only this package needs.

>>> import gradstep as gs, gradstep.plot
>>> cosine = gs.schedules.CosineAnnealing(T_max=90)
>>> lines = gs.plot.schedule(cosine, gs.schedules.Warmup(cosine, 10), steps=100)
>>> lines[0].get_label()
'CosineAnnealing(T_max=90)'

Each function draws on axes of the caller, or on a new figure of its own, and returns
what it drew; showing and saving are matplotlib's: ``matplotlib.pyplot.show()``,
``lines[0].figure.savefig("rates.png")``.
"""

try:
    import matplotlib  # noqa: F401  # here, so that its lack is named once
except ImportError as missing:
    raise ImportError(
        "gradstep.plot needs matplotlib; pip install 'gradstep[plot]'"
    ) from missing

from gradstep.plot.lls import Plane, lls3d
from gradstep.plot.losses import Losses, convergence
from gradstep.plot.schedules import schedule

__all__ = ["Losses", "Plane", "convergence", "lls3d", "schedule"]
