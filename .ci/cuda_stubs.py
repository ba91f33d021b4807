"""Let a torch for CUDA run on the CPU without CUDA's libraries, which are gigabytes.

The x86-64 wheels of torch that package indexes serve are linked with them, and
`import torch` fails without, though none of them does anything without a GPU.
After `pip install --no-deps torch`, this puts libraries of the missing names beside
torch's own. Each function that torch wants of them returns cudaErrorNoDevice: CUDA is
not available, and all else works. For tests only.

    python .ci/cuda_stubs.py  # in the environment that has torch
"""

import ctypes
import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

NO_DEVICE = 100  # cudaErrorNoDevice


def output_of(*command: str | Path) -> str:
    """Return what a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def missing(libraries: list[Path]) -> set[str]:
    """Return the names of libraries that torch's need and that cannot be loaded."""
    own = {library.name for library in libraries}
    needed = set()
    for library in libraries:
        needed.update(
            re.findall(r"NEEDED.*\[(.*)\]", output_of("readelf", "-d", library))
        )
    return {name for name in needed - own if not can_be_loaded(name)}


def can_be_loaded(name: str) -> bool:
    """Return whether the system has a library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def wanted(libraries: list[Path]) -> Iterator[tuple[str, str, str]]:
    """Yield the functions that torch wants of others: library, version, name.

    Of those without a version nobody says in which library they are: "".
    """
    own: set[str] = set()
    undefined: set[str] = set()
    library_of: dict[str, str] = {}
    for library in libraries:
        for line in output_of("nm", "-D", library).splitlines():
            kind, symbol = line.split()[-2:]
            if kind == "U":
                undefined.add(symbol)
            else:
                own.add(symbol.partition("@")[0])
        file = ""
        for line in output_of("readelf", "-VW", library).splitlines():
            if found := re.search(r"File: (\S+)", line):
                file = found[1]
            elif found := re.search(r"Name: (\S+)  Flags", line):
                library_of[found[1]] = file
    for symbol in sorted(undefined):
        name, _, version = symbol.partition("@")
        if name not in own:
            yield library_of.get(version, ""), version, name


def write(file: Path, functions: list[str], versions: dict[str, list[str]]) -> None:
    """Compile a library of functions, some of them under a version."""
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "stubs.c"), Path(folder, "versions")
        bodies = [f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in functions]
        source.write_text("".join(bodies))
        nodes = [
            f"{version} {{ {' '.join(name + ';' for name in names)} }};\n"
            for version, names in versions.items()
        ]
        script.write_text("".join(nodes))
        flags = [f"-Wl,--version-script={script}"] if nodes else []
        soname = f"-Wl,-soname,{file.name}"
        output_of(
            *("gcc", "-shared", "-fPIC", "-fno-builtin", "-w", "-o", file, soname),
            *(*flags, source),
        )


def main() -> None:
    """Write the libraries that the installed torch lacks."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None, "torch is not installed"
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "lib"
    libraries = sorted(folder.glob("*.so*"))
    names = sorted(missing(libraries))
    functions: dict[str, list[str]] = {name: [] for name in names}
    versions: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for library, version, name in wanted(libraries):
        if library in functions:
            functions[library].append(name)
            versions[library].setdefault(version, []).append(name)
        elif not version and names and re.match("cu|nccl|nv", name):
            functions[names[0]].append(name)
    for name in names:
        write(folder / name, functions[name], versions[name])
    print(f"{len(names)} libraries of stubs in {folder}")


if __name__ == "__main__":
    main()
