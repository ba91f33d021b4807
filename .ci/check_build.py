"""Build the C, and check what the compiler made: vector loops; and no stray symbols.

usage: check_build.py BUILD_FOLDER, where gradstep is installed
"""

import json
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

# The files whose assembly is read: two of loops, one of codes.
READ = ("kernels.c", "lls.c", "codec.c")


def run(*command: str, **kwargs: object) -> str:
    """Run a command; returns what it printed, and ends with that if it failed."""
    done = subprocess.run(
        command, check=False, text=True, stdout=subprocess.PIPE, **kwargs
    )
    if done.returncode:
        sys.exit(f"{done.stdout}{shlex.join(command)}: rc {done.returncode}")
    return done.stdout


def loops_of(rules: list[str], headers: Path) -> set[str]:
    """Name the loops that the rules' headers ask for."""
    texts = {path.stem: path.read_text() for path in headers.glob("*.h")}
    loops = {"accumulate", "dense", "dot", "moments"}  # of lls.c
    for rule in rules:
        text = texts[max((s for s in texts if rule.startswith(s)), key=len)]
        if "RULE_ROOT 1" in text:
            # The second names no rule, and the compiler makes one of all.
            loops |= {f"{rule}_root_first", "root_second", f"{rule}_root_last"}
        elif "RULE_STEPS 0" not in text:
            loops.add(f"{rule}_range")
            if "RULE_LEAST_DIVISOR" in text:
                loops.add(f"{rule}_range_guarded")
        if "RULE_SUMS(X)" in text:
            loops.add(f"{rule}_gather_block")
            if "RULE_LEAST_DIVISOR" in text:
                loops.add(f"{rule}_gather_block_guarded")
    return loops


def compiled(entry: dict[str, str]) -> str:
    """Compile a file once more; return the assembly."""
    command = shlex.split(entry["command"])
    output = command.index("-o")
    command[output + 1] = "-"
    command[command.index("-c")] = "-S"
    return run(*command, "-g0", cwd=entry["directory"])


def loops_vectorised(build: Path) -> int:
    """Compile kernels.c once more for every level, and read the assembly of each loop.

    The compiler's report names lines, and all rules share the loop's line; the assembly
    names the function. A vector loop uses packed arithmetic.
    """
    found: set[tuple[str, str, str]] = set()
    entries_of = (build / "csrc" / "rules.def").read_text()
    rules = re.findall(r"ENTRY\((\w+)\)", entries_of)
    wanted = loops_of(rules, Path("csrc/rules"))
    entries = json.loads((build / "compile_commands.json").read_text())
    for entry in (e for e in entries if e["file"].endswith(READ[:2])):
        assembly = compiled(entry)
        bodies = re.split(r"^(\w[\w.]*):$", assembly, flags=re.M)
        for name, body in zip(bodies[1::2], bodies[2::2], strict=True):
            fused = re.search(r"\bvfn?m(add|sub)|\bfn?m(add|sub|la|ls)\b", body)
            # prepare() may ask for fma(): a function of IEEE's, the same everywhere.
            if fused and "_prepare" not in name:
                sys.exit(f"{name}: fused multiply-adds, against the law")
            loop = re.fullmatch(r"(\w+)_(f32|f64)_(v\d|base)", name.split(".")[0])
            word = loop and re.sub(r".*(root_second)", r"\1", loop[1])
            if loop is None or word not in wanted:
                continue
            found.add((word, loop[2], loop[3]))
            # Sums are in double whatever is summed, and so is the end of a cube root.
            single = loop[2] == "f32" and word.endswith(
                ("_range", "_range_guarded", "first", "last")
            )
            packed = r"\bv?(add|sub|mul)p" + ("s" if single else "d")
            if not re.search(packed, body):
                sys.exit(f"{name} is not vectorised")
    levels = sum(e["file"].endswith("kernels.c") for e in entries)
    if len(found) != levels * 2 * len(wanted):
        sys.exit(f"{len(found)} loops of {wanted}: some have vanished")
    return len(found)


def codes_vectorised(build: Path) -> int:
    """Check that numbers are coded and decoded by packed operations."""
    entries = json.loads((build / "compile_commands.json").read_text())
    found = 0
    for entry in (e for e in entries if e["file"].endswith(READ[2])):
        assembly = compiled(entry)
        bodies = re.split(r"^(\w[\w.]*):$", assembly, flags=re.M)
        for name, body in zip(bodies[1::2], bodies[2::2], strict=True):
            if re.fullmatch(r"\w+_(values|codes|extent)", name.split(".")[0]):
                found += 1
                if not re.search(r"\bv?p(add|or|and|sll|mul|unpck|mov[sz]x)", body):
                    sys.exit(f"{entry['output']}: {name} is not vectorised")
    return found


def exported() -> int:
    """Check that each extension that is installed exports its PyInit function only."""
    package = Path(sysconfig.get_path("platlib")) / "gradstep"
    extensions = list(package.glob("*.so"))
    for extension in extensions:
        symbols = run("nm", "-D", "--defined-only", str(extension)).split()[2::3]
        module = extension.name.split(".")[0]
        if symbols != [f"PyInit_{module}"]:
            sys.exit(f"{extension.name} exports {symbols}")
    return len(extensions)


def main() -> None:
    """Build, check, and say how much was checked."""
    build = Path(sys.argv[1])
    run("meson", "setup", str(build), "-Dwerror=true")
    entries = json.loads((build / "compile_commands.json").read_text())
    run("ninja", "-C", str(build), *objects_of_csrc(entries))
    loops, extensions = loops_vectorised(build), exported()
    loops += codes_vectorised(build)
    if loops == 0 or extensions == 0:
        sys.exit("nothing was checked")
    print(f"{loops} loops vectorised, {extensions} extensions export one symbol each")


def objects_of_csrc(entries: list[dict[str, str]]) -> list[str]:
    """Name what is compiled of csrc, but what is compiled to assembly anyhow.

    Cython's modules have been built elsewhere.
    """
    return [
        x["output"]
        for x in entries
        if "/csrc/" in x["file"] and not x["file"].endswith(READ)
    ]


if __name__ == "__main__":
    main()
