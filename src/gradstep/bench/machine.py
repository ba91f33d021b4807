"""What all figures depend on: the machine, its memory, and the versions of packages."""

import datetime
import os
import platform
import re
from importlib import metadata
from pathlib import Path

import gradstep as gs

CPU = Path("/sys/devices/system/cpu/cpu0")
HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# Where the system does not say: smaller than most.
SUPPOSED = {2: 1 << 19, 3: 1 << 24}

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "torch", "deepspeed", "jax", "optax"),
    *("adabelief-pytorch", "madgrad", "pytorch_optimizer", "schedulefree"),
)


def cache(level: int) -> int:
    """Return the bytes of the first CPU's data cache of a level."""
    for folder in sorted(CPU.glob("cache/index*")):
        kind = (folder / "type").read_text().strip()
        if kind != "Instruction" and int((folder / "level").read_text()) == level:
            number, unit = re.fullmatch(
                r"(\d+)([KMG]?)", (folder / "size").read_text().strip()
            ).groups()  # type: ignore[union-attr]  # the kernel's own form
            return int(number) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]
    return SUPPOSED[level]


def memory(what: str = "MemAvailable") -> int:
    """Return bytes of this machine's memory, those available by default."""
    found = re.search(rf"{what}:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) << 10 if found else 1 << 62


def version(package: str) -> str:
    """Return a package's version, or that it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def machine() -> dict[str, str]:
    """Return a report of this machine, this build and the packages that are here."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    built = ", ".join(f"{k} {v}" for k, v in gs.build_config().items() if k != "rules")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "CPU": f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} CPUs",
        "memory": (
            f"{memory('MemTotal') / 2**30:.0f} GiB; L2 {cache(2) >> 10} KiB each, "
            f"L3 {cache(3) >> 20} MiB"
        ),
        "huge pages": HUGE.read_text().strip() if HUGE.exists() else "unknown",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "gradstep": f"level {gs.isa()}; {built}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
