"""What it takes to have gradstep: seconds of an import, and bytes on disk."""

import functools
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from gradstep.bench.apart import Contestant, Step
from gradstep.bench.row import Row
from gradstep.bench.suites.job import Chosen, Job, job


def startup(chosen: Chosen) -> Iterator[Job]:
    """Return one job."""
    others = ["numpy"]
    if "torch" in chosen.packages and not chosen.quick:  # it takes seconds
        others.append("torch")
    yield job(
        [
            Contestant(name, functools.partial(importing, module))
            for name, module in (("gradstep", "gradstep"), *zip(others, others))
        ],
        chosen.effort(9, 20.0),
        Row(
            suite="import",
            subject="import",
            case="a fresh process",
            threads=1,
            facts=installed(),
        ),
    )


def importing(module: str) -> Step:
    """Return a call that imports a module in a process of its own."""
    command = [sys.executable, "-c", f"import {module}"]
    return functools.partial(subprocess.run, command, check=True)


def installed() -> dict[str, int]:
    """Return the bytes of gradstep on disk, and in a wheel, which is a zip file."""
    listed = metadata.files("gradstep") or []
    paths = [Path(str(file.locate())) for file in listed]
    paths = [p for p in paths if p.suffix != ".pyc" and p.is_file()]
    if not any(p.suffix == ".so" for p in paths):
        return {}  # an editable install, whose files are elsewhere
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in paths:
            wheel.write(path)
    return {
        "bytes installed": sum(p.stat().st_size for p in paths),
        "bytes of a wheel": packed.tell(),
    }
