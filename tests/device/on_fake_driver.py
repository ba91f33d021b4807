"""What runs in a process of its own, on the driver of fake_driver.c.

The cubins are on disk: NVRTC itself may look for a driver, and must not find this one.
"""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

import gradstep.torch as gst
from gradstep import _torch
from gradstep.torch import cuda, device, kernels

SOURCE = cuda.Source(
    text="""
#include "row.h"
extern "C" __global__ void k(const __grid_constant__ row r)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < r.n)
        r.p[i] = FACTOR * r.p[i] + r.a / sqrtf(r.p[i]);
}
""",
    headers=(("row.h", "struct row { float *p; float a; int n; };"),),
    defines=("FACTOR=2.5f",),
)
OTHER = SOURCE._replace(defines=("FACTOR=3.5f",))

ADAM = kernels.Kind("adam", "f32", None, None, None, master=False)
# What a step of it loads.
MODULES = [
    kernels.source(ADAM),
    *(kernels.source(ADAM._replace(rule=rule)) for rule in ("norm", "norm_nonfinite")),
    kernels.measuring(),
]

CAPABILITIES = [(9, 0), (9, 0), (8, 0)]  # of devices 0, 1, 2


class Launch(ctypes.Structure):
    """As in fake_driver.c."""

    _fields_ = [
        ("function", ctypes.c_size_t),
        ("stream", ctypes.c_size_t),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("argument", ctypes.c_ubyte * 4096),
    ]


class Driver:
    """The variables of fake_driver.c."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libcuda.so.1")
        self.launches = (Launch * 4096).in_dll(library, "fake_launches")
        self.launched = ctypes.c_int.in_dll(library, "fake_launched")
        self.libraries = ctypes.c_int.in_dll(library, "fake_libraries")
        self.functions = ctypes.c_int.in_dll(library, "fake_functions")
        self.argument_bytes = ctypes.c_size_t.in_dll(library, "fake_argument_bytes")
        self.failing = (ctypes.c_char * 64).in_dll(library, "fake_failing")
        self.error = ctypes.c_int.in_dll(library, "fake_error")

    @contextlib.contextmanager
    def fails(self, function: str, error: int) -> Any:
        self.failing.value, self.error.value = function.encode(), error
        yield
        self.failing.value = b""


class Devices(threading.local):
    """Stands for torch.cuda with three devices; each thread has a current one."""

    current = 0
    capturing = False  # on device 0 and 1, in streams that are current there

    def install(self) -> None:
        torch.version.cuda = f"{cuda._version()[0]}.0"
        for name in ("device", "get_device_capability", "is_current_stream_capturing"):
            setattr(torch.cuda, name, getattr(self, name))

    @contextlib.contextmanager
    def device(self, index: int) -> Any:
        before, self.current = self.current, index
        yield
        self.current = before

    def get_device_capability(self, index: int) -> tuple[int, int]:
        return CAPABILITIES[index or 0]  # none of the CPU, which stands for one

    def is_current_stream_capturing(self) -> bool:
        return self.capturing and self.current in {0, 1}


def raised(call: Callable[[], Any]) -> str:
    try:
        call()
    except RuntimeError as error:
        return str(error)
    raise AssertionError("no error")


def address(data: Any) -> int:
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


def launch(driver: Driver, devices: Devices) -> None:
    argument = bytearray(os.urandom(4096))
    driver.argument_bytes.value = len(argument)
    function = cuda.module(SOURCE, 0).function("k")
    cuda.launch(function, 2**31 - 1, 512, 0, address(argument))
    cuda.launch(function, 3, 256, 0x7F12345678, address(argument))
    first, second = driver.launches[:2]
    assert driver.launched.value == 2
    assert (*first.grid, *first.block) == (2**31 - 1, 1, 1, 512, 1, 1)
    assert (*second.grid, *second.block) == (3, 1, 1, 256, 1, 1)
    assert (first.stream, second.stream) == (0, 0x7F12345678)
    assert first.function == second.function == 0x1000 << 8 | ord("k")
    assert bytes(first.argument) == bytes(second.argument) == argument
    assert (first.shared, second.shared) == (0, 0)


def one_per_architecture(driver: Driver, devices: Devices) -> None:
    first, same, older = (cuda.module(SOURCE, device) for device in range(3))
    assert first is same
    assert first is not older
    assert cuda.module(cuda.Source(*map(copied, SOURCE)), 0) is first
    assert driver.libraries.value == 2
    assert cuda.module(OTHER, 0) is not first
    assert driver.libraries.value == 3


def copied(part: Any) -> Any:
    """Return an equal object that is another."""
    return part.encode().decode() if isinstance(part, str) else (*part,)


def capture(driver: Driver, devices: Devices) -> None:
    cuda.module(SOURCE, 0)
    devices.capturing = True
    cuda.module(SOURCE, 0).function("k")
    # It is loaded, but not on this device.
    for source, index in ((OTHER, 0), (SOURCE, 1)):
        message = raised(lambda: cuda.module(source, index))  # noqa: B023  # called now
        assert f"cuda:{index}" in message
        assert "take one step before the capture" in message
    cuda.module(SOURCE, 2)
    devices.capturing = False
    cuda.module(OTHER, 0)
    cuda.module(SOURCE, 1)
    assert driver.libraries.value == 3


def errors(driver: Driver, devices: Devices) -> None:
    with driver.fails("cuLibraryLoadData", 209):
        message = raised(lambda: cuda.module(SOURCE, 0))
        assert message.startswith("cuLibraryLoadData: CUDA_ERROR_OF_A_TEST"), message
    # A failure is not remembered.
    module = cuda.module(SOURCE, 0)
    message = raised(lambda: module.function("none"))
    assert message == (
        "cuLibraryGetKernel: CUDA_ERROR_NOT_FOUND: named symbol not found"
    )
    with driver.fails("cuKernelGetFunction", 2):
        message = raised(lambda: module.function("k"))
        assert message.startswith("cuKernelGetFunction: CUDA_ERROR_OF_A_TEST"), message
    assert driver.functions.value == 1  # loaded now, not by a launch
    function = module.function("k")
    with driver.fails("cuLaunchKernel", 700):
        argument = bytearray(8)
        message = raised(lambda: cuda.launch(function, 3, 64, 5, address(argument)))
    assert message.startswith(
        "kernel 'k' (grid 3, block 64, stream 5): CUDA_ERROR_OF_A_TEST"
    )
    assert "CUDA_LAUNCH_BLOCKING" in message


def threads(driver: Driver, devices: Devices) -> None:
    """Each loads the same modules and launches with an argument of its own."""
    start, errors = threading.Barrier(8), []

    def run(number: int) -> None:
        argument = bytearray([number] * 4096)
        start.wait()
        try:
            for source in (SOURCE, OTHER):
                function = cuda.module(source, 0).function("k")
                for _ in range(100):
                    cuda.launch(function, number + 1, 32, number, address(argument))
        except Exception as error:  # noqa: BLE001, RUF100  # told by the main thread
            errors.append(error)

    driver.argument_bytes.value = 4096
    started = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert not errors
    assert driver.libraries.value == 2
    assert driver.launched.value == 1600
    for taken in driver.launches[:1600]:
        assert bytes(taken.argument) == bytes([taken.stream] * 4096)
        assert taken.grid[0] == taken.stream + 1


def contexts(driver: Driver, devices: Devices) -> None:
    """A thread that has no context gets that of the device, and keeps it."""
    seen: list[int] = []
    bindings = cuda._bindings().driver

    def run() -> None:
        seen.append(int(bindings.cuCtxGetCurrent()[1]))
        for index in (2, 2):
            with cuda.current(index):
                seen.append(int(bindings.cuCtxGetCurrent()[1]))
                seen.append(devices.current)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [0, 0x102, 2, 0x102, 2]


def step(driver: Driver, devices: Devices) -> None:
    """Take steps of Adam: what is launched is what C made, to the byte."""
    made: list[tuple[int, int, int, bytes]] = []
    really, driver.argument_bytes.value = device.Device._launch, 4000

    def noting(self: Any, module: int, *told: int) -> None:
        what, grid, threads, argument = told
        made.append((what, grid, threads, ctypes.string_at(argument, 4000)))
        really(self, module, *told)

    device.Device._launch, device.Device.dlpack_type = noting, _torch.ON_CPU
    device.of = lambda *_: torch.device("cpu")
    cuda.stream, cuda.processors = lambda *_: 0x77, lambda *_: 132
    cuda.current = lambda *_: contextlib.nullcontext()
    params = [torch.ones(n).requires_grad_() for n in (5, 3000)]
    opt = gst.Adam(params, lr=0.1)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()
    assert [what for what, *_ in made] == [_torch.PREPARE, _torch.STEP]
    assert made[1][1] == 1 + 2  # blocks of 2048 elements
    opt.step(clip_norm=1.0)
    # Scales; sums of blocks, of tensors and of all, twice; the step.
    assert len(made) == driver.launched.value == 2 + 1 + 2 * 3 + 2
    letters = {device._NAMES[what][3] for what, *_ in made}
    taken = driver.launches[: len(made)]
    assert {chr(launch.function & 0xFF) for launch in taken} == letters
    for launch, (_, grid, threads, argument) in zip(taken, made, strict=True):
        assert (*launch.grid, *launch.block) == (grid, 1, 1, threads, 1, 1)
        assert (launch.stream, launch.shared) == (0x77, 0)
        assert bytes(launch.argument)[:4000] == argument


def cost(driver: Driver, devices: Devices) -> None:
    """Print what a launch takes in Python; no test."""
    function = cuda.module(SOURCE, 0).function("k")
    at = address(bytearray(4096))
    for size in (0, 4096):
        driver.argument_bytes.value = size
        best = min(timed(function, at) for _ in range(20))
        print(f"{best * 1e6:.2f} µs a launch, {size} bytes of argument")


def timed(function: cuda.Function, at: int) -> float:
    start = perf_counter()
    for _ in range(10_000):
        cuda.launch(function, 3, 512, 0, at)
    return (perf_counter() - start) / 10_000


def main(name: str) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("the cubin is on disk, but compiled")

    cuda._compile = refused
    devices = Devices()
    devices.install()
    globals()[name](Driver(), devices)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1])
