"""All that is claimed of CUDA, on a machine with a GPU: bits, torch's tools, speed.

    python bench/cuda_check.py                       # under 8 minutes
    python bench/cuda_check.py --sections tools speed --json FILE

It needs a torch for CUDA 12 or 13 and no other package. Exits with 1 if steps of the
GPU differ from those of the CPU; speeds are told beside what was asked, and no more.
"""

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import cuda_bits
import cuda_speed
import cuda_tools
import torch

import gradstep as gs
from gradstep.torch import cuda

SECTIONS = ("bits", "tools", "speed")
LARGE, OF_STORAGES = 2**28, 2**27
OF_COPY = 0.9
# How many times ours a contestant has to take: of torch fused, where there is one; of
# others.
ASKED_OF_FUSED, ASKED_OF_OTHERS = 1.0, 3.0
FUSED = ("adam", "adamw", "sgd_momentum")


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "cuda": str(torch.version.cuda),
        "nvrtc": ".".join(map(str, cuda.compiler())),
        "torch": torch.__version__,
        "gradstep": gs.__version__,
        "python": platform.python_version(),
    }


def attempt(what: str, call: Callable[[], bool]) -> bool:
    """Return whether a check holds; one that raises does not."""
    try:
        found = call()
    except Exception:  # told, and counted as a failure
        traceback.print_exc(limit=-4)
        found = False
    if not found:
        print(f"  {what}: DIFFERENT", flush=True)
    return found


def bits() -> dict[str, Any]:
    """Compare the steps of every rule in every storage, and scaled ones."""
    major, minor = torch.cuda.get_device_capability()
    start = time.perf_counter()
    kernels = cuda_bits.compile_all(10 * major + minor)
    print(f"{kernels} kernels compiled in {time.perf_counter() - start:.0f} s")
    wrong, count = [], 0
    hows: list[tuple[tuple[str, str, dict[str, Any]], dict[str, Any]]]
    hows = [(case, {}) for case in cuda_bits.cases()]
    for name in ("Adam", "LAMB", "Adan"):
        for storage in ("float32", "float64", "bfloat16", "float16, master"):
            for how in (
                {"clip_norm": 1.0},
                {"clip_norm": 0.5, "grad_scale": 3.0, "nonfinite": "skip"},
            ):
                hows.append(((name, storage, {}), how))
    for case, how in hows:
        count += 1
        label = f"{case} {how or ''}"
        if not attempt(label, lambda case=case, how=how: cuda_bits.agree(*case, **how)):
            wrong.append(label)
    print(f"{count - len(wrong)} of {count} cases have the bits of the CPU")
    return {"cases": count, "different": wrong, "kernels": kernels}


def tools() -> dict[str, bool]:
    """Try torch's tools round a step."""
    found = {what: attempt(what, call) for what, call in cuda_tools.TOOLS.items()}
    for what, holds in found.items():
        print(f"  {what:40} {'ok' if holds else 'FAILED'}")
    return found


def speed() -> list[dict[str, Any]]:
    """Time steps, and print each as it comes."""
    rows = []
    for make in (
        *(
            lambda rule=rule: [cuda_speed.one_tensor(rule, LARGE)]
            for rule in cuda_speed.TIMED
        ),
        cuda_speed.model,
        lambda: cuda_speed.storages(OF_STORAGES),
        lambda: [cuda_speed.not_aligned(LARGE)],
        lambda: [cuda_speed.clipping(LARGE)],
        lambda: [cuda_speed.host(300)],
    ):
        try:
            found = make()
        except Exception:  # the others are told all the same
            traceback.print_exc(limit=-4)
            continue
        finally:
            torch.cuda.empty_cache()
        rows += found
        for row in found:
            print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    text = f"  {row['rule']:20} {row['case']:26} {row['milliseconds']['gradstep']:9.3f}"
    if "of_copy" in row:
        text += f"  {row['of_copy']:.3f} of a copy"
        asked = row["rule"] == "adam" and row["case"].startswith("2^")
        text += " MISSED" * (asked and row["of_copy"] < OF_COPY)
    for name, ratio in row["ratio"].items():
        least = ASKED_OF_FUSED if row["rule"] in FUSED else ASKED_OF_OTHERS
        asked = (name == "torch fused") == (row["rule"] in FUSED)
        text += f"  {name} {ratio:.2f}" + " MISSED" * (asked and ratio < least)
    return text


def main() -> int:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--json", default="cuda_check.json")
    chosen = parser.parse_args()
    start, found = time.perf_counter(), {"machine": machine()}
    print("\n".join(f"{k:>12}: {v}" for k, v in found["machine"].items()))
    for name in chosen.sections:
        print(f"\n{name}")
        found[name] = {"bits": bits, "tools": tools, "speed": speed}[name]()
    found["seconds"] = time.perf_counter() - start
    with open(chosen.json, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    print(f"\n{found['seconds']:.0f} s; all of it in {chosen.json}")
    wrong = found.get("bits", {}).get("different", [])
    return int(bool(wrong) or not all(found.get("tools", {"": True}).values()))


if __name__ == "__main__":
    sys.exit(main())
