"""CUDA kernels: compiled with NVRTC, kept on disk, loaded, launched.

The only file that calls NVRTC and the CUDA driver, through cuda-bindings, which Linux
wheels of torch for CUDA bring along since 2.10. It knows no kernel.

Design: a) Cubins, not PTX: drivers do not know PTX of a newer minor version, but run
cubins of any of their major one. b) Libraries of the driver belong to no context, so
that one serves all devices of an architecture. c) torch makes contexts and streams:
whoever takes a function or launches it has the device of the tensors current.
"""

import hashlib
import re
import struct
import threading
from functools import cache
from typing import Any, NamedTuple

import torch

from gradstep.torch import disk

# Every operation rounds once, as on the CPU. The current directory is left out, which
# NVRTC would search for headers that no Source has. What C and CUDA share is for both.
OPTIONS = (
    "--std=c++20",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--no-source-include",
    "--device-as-default-execution-space",
)
# Of files on disk; to change when what they hold does.
FORMAT = 1

# Majors of CUDA, each with an extra of its name.
_KNOWN = ("12", "13")

_LOG = 4000  # characters of the compiler's that are shown

_ADDRESS = struct.Struct("P")


class Unavailable(RuntimeError):  # noqa: N818  # what kernels are
    """CUDA kernels cannot be made here; the message says what is missing."""


class Source(NamedTuple):
    """All that a compilation reads."""

    text: str
    headers: tuple[tuple[str, str], ...]  # the name in #include, and the text
    defines: tuple[str, ...]  # "DTYPE=f32"


class Function(NamedTuple):
    """A kernel that can be launched."""

    name: str
    handle: Any  # CUfunction
    driver: Any  # its bindings, so that a launch does not import them


# -- what there is


def check() -> None:
    """Raise Unavailable unless kernels can be made for the devices of this torch."""
    lack = _lack()
    if lack is not None:
        raise Unavailable(lack)


@cache
def _lack() -> str | None:
    """Return what is missing, if anything."""
    ours = torch.version.cuda
    if torch.version.hip is not None:
        return f"CUDA kernels need an NVIDIA GPU; torch {torch.__version__} is for ROCm"
    if ours is None:
        return (
            f"torch {torch.__version__} is built without CUDA; install one that is, as "
            "https://pytorch.org/get-started tells"
        )
    if _major(ours) not in _KNOWN:
        return (
            f"torch {torch.__version__} is built for CUDA {ours}, gradstep knows "
            f"{' and '.join(_KNOWN)}; install a torch for one of them"
        )
    try:
        theirs = str(_bindings().__version__)
        if _major(theirs) != _major(ours):
            return (
                f"cuda-bindings {theirs} is of another major version than the CUDA "
                f"{ours} of torch; {_remedy()}"
            )
        _version()
    except Unavailable as error:
        return str(error)
    return None


def _remedy() -> str:
    # Without CUDA in torch one can still compile.
    major = _major(torch.version.cuda or _KNOWN[-1])
    return f"pip install 'gradstep[cuda{major}]'"


def _major(version: str) -> str:
    return version.partition(".")[0]


def _bindings() -> Any:
    """Return cuda.bindings, with driver and nvrtc in it."""
    try:
        import cuda.bindings  # noqa: PLC0415  # optional
        import cuda.bindings.driver  # noqa: PLC0415
        import cuda.bindings.nvrtc  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f"CUDA kernels need cuda-bindings ({error}); {_remedy()}"
        ) from error
    return cuda.bindings


def compiler() -> tuple[int, int]:
    """Return the version of NVRTC."""
    return _version()


@cache
def _version() -> tuple[int, int]:
    """Return the version of NVRTC, whose library is looked for here."""
    bindings = _bindings()
    try:
        _, major, minor = bindings.nvrtc.nvrtcVersion()
    except (RuntimeError, OSError) as error:
        raise Unavailable(
            f"cuda-bindings {bindings.__version__} finds no library of NVRTC "
            f"({' '.join(str(error).split())}); {_remedy()}"
        ) from error
    return major, minor


def _target(arch: int) -> int:
    """Return the newest architecture that NVRTC knows and `arch` can run."""
    version = _version()
    _, known = _bindings().nvrtc.nvrtcGetSupportedArchs()
    fit: list[int] = [a for a in known if a // 10 == arch // 10 and a <= arch]
    if not fit:
        raise Unavailable(
            f"NVRTC {version[0]}.{version[1]} compiles for sm_{min(known)} to "
            f"sm_{max(known)}, but nothing that sm_{arch} could run; for a newer GPU "
            "install a torch for a newer CUDA, for an older one use one of CUDA 12"
        )
    return max(fit)


# -- compilation


def cubin(source: Source, arch: int) -> bytes:
    """Return a source compiled for sm_`arch`, from disk if it is there."""
    target = _target(arch)
    key = _key(source, target)
    found = disk.read(key)
    if found is None:
        found, _ = _compile(source, target, "CUBIN")
        disk.write(key, found)
    return found


def ptx(source: Source, arch: int) -> str:
    """Return the PTX of which the cubin is made."""
    return _compile(source, _target(arch), "PTX")[0].rstrip(b"\0").decode()


def resources(source: Source, arch: int) -> dict[str, int]:
    """Return the most registers of a kernel, and bytes of its stack and of spills."""
    _, log = _compile(source, _target(arch), "CUBIN", "--ptxas-options=-v")
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", log)]
    pattern = r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill"
    memory = [tuple(map(int, row)) for row in re.findall(pattern, log)]
    if not registers or not memory:
        raise RuntimeError(f"ptxas does not tell what a kernel uses:\n{log}")
    return {
        "registers": max(registers),
        "stack": max(stack for stack, _, _ in memory),
        "spills": sum(stores + loads for _, stores, loads in memory),
    }


def _compile(source: Source, arch: int, what: str, *more: str) -> tuple[bytes, str]:
    """Return the "CUBIN" or "PTX" of a source, and the compiler's log."""
    nvrtc = _bindings().nvrtc
    defines = (f"--define-macro={d}" for d in source.defines)
    options = [f"--gpu-architecture=sm_{arch}", *OPTIONS, *defines, *more]
    error, program = nvrtc.nvrtcCreateProgram(
        source.text.encode(),
        b"gradstep.cu",
        len(source.headers),
        [text.encode() for _, text in source.headers],
        [name.encode() for name, _ in source.headers],
    )
    if error:
        raise RuntimeError(f"nvrtcCreateProgram: {error.name}")
    try:
        (error,) = nvrtc.nvrtcCompileProgram(
            program, len(options), [option.encode() for option in options]
        )
        log = _got(program, "ProgramLog").rstrip(b"\0 \n").decode(errors="replace")
        if error:
            version = ".".join(map(str, _version()))
            raise RuntimeError(
                f"NVRTC {version} does not compile a kernel of gradstep with "
                f"{' '.join(options)} ({error.name}); please report this:\n{log[:_LOG]}"
            )
        return _got(program, what), log
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _got(program: Any, what: str) -> bytes:
    """Return something that a program has; its size is asked for first."""
    nvrtc = _bindings().nvrtc
    error, size = getattr(nvrtc, f"nvrtcGet{what}Size")(program)
    # Not bytes, since NVRTC writes into it, and Python shares those that are short.
    data = bytearray(size)
    if not error:
        (error,) = getattr(nvrtc, f"nvrtcGet{what}")(program, data)
    if error:
        raise RuntimeError(f"nvrtcGet{what}: {error.name}")
    return bytes(data)


def _key(source: Source, arch: int) -> str:
    told = (FORMAT, _version(), arch, OPTIONS, tuple(source))
    return hashlib.sha256(repr(told).encode()).hexdigest()


# -- the driver


class Module:
    """Kernels of a source, for all devices of an architecture. It is never unloaded."""

    def __init__(self, code: bytes) -> None:
        self._library = _call("cuLibraryLoadData", code, [], [], 0, [], [], 0)

    def function(self, name: str) -> Function:
        """Return a kernel of any device, and load it on the current one.

        Left to the first launch, loading could fall into the capture of a graph.
        """
        kernel = _call("cuLibraryGetKernel", self._library, name.encode())
        _call("cuKernelGetFunction", kernel)
        driver = _bindings().driver
        # Launches take a kernel in place of a function, of whatever context is current.
        return Function(name, driver.CUfunction(int(kernel)), driver)


_lock = threading.Lock()
_loaded: dict[tuple[Source, int], Module] = {}  # by architecture
_ready: dict[tuple[Source, int], Module] = {}  # by device


def module(source: Source, device: int) -> Module:
    """Return the kernels of a source for a device, compiled and loaded if need be."""
    found = _ready.get((source, device))
    if found is not None:
        return found
    check()
    with torch.cuda.device(device), _lock:
        if (source, device) not in _ready:
            if torch.cuda.is_current_stream_capturing():
                raise RuntimeError(
                    f"kernels cannot be loaded on cuda:{device} while a graph is being "
                    "captured; take one step before the capture"
                )
            major, minor = torch.cuda.get_device_capability(device)
            key = source, 10 * major + minor
            if key not in _loaded:
                _loaded[key] = Module(cubin(*key))
            _ready[source, device] = _loaded[key]
        return _ready[source, device]


def launch(
    function: Function, grid: int, block: int, stream: int, argument: int
) -> None:
    """Enqueue a kernel whose only parameter is a struct, copied from an address.

    Parameters
    ----------
    function : Function
    grid, block : int
        Blocks, and threads of each.
    stream : int
        Of the current device: `torch.cuda.current_stream().cuda_stream`.
    argument : int
        Where the struct is, which may change once this returns.
    """
    driver = function.driver
    # Objects of these types, as the bindings convert numbers at twice the price.
    queue, parameters = driver.CUstream(stream), _ADDRESS.pack(argument)
    (error,) = driver.cuLaunchKernel(
        function.handle, grid, 1, 1, block, 1, 1, 0, queue, parameters, 0
    )
    if error:
        raise RuntimeError(
            f"kernel {function.name!r} (grid {grid}, block {block}, stream {stream}): "
            f"{_described(error)}; it may be an error of a kernel before, which "
            "CUDA_LAUNCH_BLOCKING=1 tells apart"
        )


def _call(name: str, *arguments: Any) -> Any:
    """Return what a function of the driver returns beside an error, if anything."""
    error, *found = getattr(_bindings().driver, name)(*arguments)
    if error:
        raise RuntimeError(f"{name}: {_described(error)}")
    return found[0] if found else None


def _described(error: Any) -> str:
    driver = _bindings().driver
    texts = (driver.cuGetErrorName(error)[1], driver.cuGetErrorString(error)[1])
    return ": ".join(text.decode() if text else str(error) for text in texts)


class current:  # noqa: N801  # a context, as torch.cuda.device is
    """A context in which a device is the current one, for torch and for the driver."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._torch = torch.cuda.device(device)

    def __enter__(self) -> None:
        self._torch.__enter__()
        driver = _bindings().driver
        # A new thread has no context until torch's runtime needs one.
        if not int(driver.cuCtxGetCurrent()[1]):
            context = _call("cuDevicePrimaryCtxRetain", driver.CUdevice(self._device))
            _call("cuCtxSetCurrent", context)

    def __exit__(self, *error: object) -> None:
        self._torch.__exit__(*error)


def capturing() -> bool:
    """Return whether the current stream is being captured in a graph."""
    return bool(torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())


def stream(device: int) -> int:
    """Return torch's current stream of a device, as the driver knows it."""
    return int(torch.cuda.current_stream(device).cuda_stream)


def processors(device: int) -> int:
    """Return how many multiprocessors a device has."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
