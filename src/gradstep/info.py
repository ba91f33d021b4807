"""`python -m gradstep info`: what a bug report should say."""

import json
import platform

import numpy as np

from gradstep import _core, threads
from gradstep._build import build_config


def info() -> dict[str, object]:
    """Return versions, the CPU level in use, threads and how this copy was built."""
    return {
        "gradstep": build_config()["version"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "isa": _core.isa(),
        "threads": threads.get_num_threads(),
        "threads_from": threads.reason(),
        "rules": sorted({k.rule for k in _core.kernels()}),
        "dtypes": sorted({k.dtype for k in _core.kernels()}),
        "build": build_config(),
    }


def show(as_json: bool) -> None:
    """Print it, for people or for programs."""
    found = info()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        if isinstance(value, dict):
            print(f"{key}:", *(f"    {k}: {v}" for k, v in value.items()), sep="\n")
        else:
            print(f"{key}:", " ".join(value) if isinstance(value, list) else value)
