"""What is measured: by name, a function of what was chosen that returns jobs."""

from collections.abc import Callable, Iterator

from gradstep.bench.suites.clip import clip
from gradstep.bench.suites.job import Chosen, Job
from gradstep.bench.suites.lls import lls
from gradstep.bench.suites.scaling import scaling
from gradstep.bench.suites.schedule import schedule
from gradstep.bench.suites.small import small
from gradstep.bench.suites.startup import startup
from gradstep.bench.suites.step import step
from gradstep.bench.suites.storage import storage

SUITES: dict[str, Callable[[Chosen], Iterator[Job]]] = {
    "step": step,
    "small": small,
    "clip": clip,
    "storage": storage,
    "lls": lls,
    "schedule": schedule,
    "import": startup,
    "scaling": scaling,
}

__all__ = ["SUITES", "Chosen", "Job"]
