"""gradstep.torch.cuda, without a GPU: NVRTC needs none, the driver is a fake."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gradstep.torch import cuda
from on_fake_driver import CAPABILITIES, MODULES, OTHER, SOURCE

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for cubins that has none."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(folder))
    return folder


# -- compilation


@pytest.mark.parametrize("arch", [75, 80, 86, 89, 90, 100, 103, 120])
def test_a_cubin_and_what_it_uses(arch: int) -> None:
    assert cuda.cubin(SOURCE, arch)[:4] == b"\x7fELF"
    used = cuda.resources(SOURCE, arch)
    assert used["stack"] == used["spills"] == 0
    assert 8 < used["registers"] < 64


def test_no_operation_is_fused_or_approximate() -> None:
    text = cuda.ptx(SOURCE, 90)
    assert ".target sm_90" in text
    for operation in ("mul.rn.f32", "add.rn.f32", "div.rn.f32", "sqrt.rn.f32"):
        assert operation in text
    for word in ("fma.rn.f", ".approx", ".ftz", ".full"):
        assert word not in text


def test_registers_and_spills_are_counted() -> None:
    # 64 numbers at a time, in half as many registers.
    source = cuda.Source(
        """extern "C" __global__ void __launch_bounds__(1024, 2) k(volatile float *p)
        {
            float x[64];
        #pragma unroll
            for (int k = 0; k < 64; k++)
                x[k] = p[k];
        #pragma unroll
            for (int k = 63; k >= 0; k--)
                p[k] = x[k];
        }""",
        (),
        (),
    )
    used = cuda.resources(source, 90)
    assert used["registers"] <= 32
    assert used["spills"] > 0
    assert used["stack"] > 0


def test_what_does_not_compile_is_told_with_the_log() -> None:
    wrong = SOURCE._replace(defines=("FACTOR=twice",))
    with pytest.raises(RuntimeError, match=r'identifier "twice" is undefined') as told:
        cuda.cubin(wrong, 90)
    for part in ("--define-macro=FACTOR=twice", "sm_90", "gradstep.cu(7)"):
        assert part in str(told.value)


def test_headers_come_from_the_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "row.h").write_text(SOURCE.headers[0][1])
    with pytest.raises(RuntimeError, match=r'"?row\.h"?'):
        cuda.cubin(SOURCE._replace(headers=()), 90)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let NVRTC know but these architectures."""
    told = 0, [75, 80, 86, 90, 100, 103]
    monkeypatch.setattr(cuda._bindings().nvrtc, "nvrtcGetSupportedArchs", lambda: told)


@pytest.mark.usefixtures("known")
def test_a_newer_gpu_of_a_known_family() -> None:
    wanted = {75: 75, 80: 80, 87: 86, 89: 86, 90: 90, 101: 100, 103: 103, 109: 103}
    assert {arch: cuda._target(arch) for arch in wanted} == wanted
    assert cuda.cubin(SOURCE, 87) == cuda.cubin(SOURCE, 86)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("arch", [52, 70, 110])
def test_a_gpu_that_nvrtc_does_not_know(arch: int) -> None:
    message = rf"NVRTC \d+\.\d+ compiles for sm_75 to sm_103, .* sm_{arch} could run"
    with pytest.raises(cuda.Unavailable, match=message):
        cuda.cubin(SOURCE, arch)


# -- what is missing


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let torch be built for the CUDA that NVRTC is of."""
    monkeypatch.setattr(torch.version, "cuda", f"{cuda._version()[0]}.0")
    monkeypatch.setattr(torch.version, "hip", None)
    for known in (cuda._lack, cuda._version):
        known.cache_clear()
    yield monkeypatch
    for known in (cuda._lack, cuda._version):
        known.cache_clear()


def lacks(words: str) -> None:
    for _ in range(2):
        with pytest.raises(cuda.Unavailable, match=words):
            cuda.check()


def test_nothing_is_missing(built: Any) -> None:
    cuda.check()
    assert cuda._lack.cache_info().misses == 1
    cuda.check()
    assert cuda._lack.cache_info().misses == 1


def test_a_torch_for_rocm(built: Any) -> None:
    built.setattr(torch.version, "hip", "6.4")
    built.setattr(torch.version, "cuda", None)
    lacks(r"need an NVIDIA GPU; torch .* is for ROCm")


def test_a_torch_without_cuda(built: Any) -> None:
    built.setattr(torch.version, "cuda", None)
    lacks(r"torch .* is built without CUDA; install one that is")
    assert cuda.cubin(SOURCE, 90)  # which needs none


def test_a_torch_for_another_cuda(built: Any) -> None:
    built.setattr(torch.version, "cuda", "11.8")
    lacks(r"is built for CUDA 11\.8, gradstep knows 12 and 13")


def test_bindings_for_another_cuda(built: Any) -> None:
    other = "12" if cuda._version()[0] == 13 else "13"
    built.setattr(torch.version, "cuda", f"{other}.6")
    lacks(rf"cuda-bindings .* than the CUDA {other}\.6 .*'gradstep\[cuda{other}\]'")


@pytest.mark.parametrize("name", ["cuda", "cuda.bindings", "cuda.bindings.nvrtc"])
def test_no_bindings(built: Any, name: str) -> None:
    built.setitem(sys.modules, name, None)
    major = torch.version.cuda.split(".")[0]
    lacks(rf"need cuda-bindings \(.*\); pip install 'gradstep\[cuda{major}\]'")
    with pytest.raises(cuda.Unavailable, match="need cuda-bindings"):
        cuda.cubin(SOURCE, 90)
    with pytest.raises(cuda.Unavailable, match="need cuda-bindings"):
        cuda.module(SOURCE, 0)


def test_no_library_of_nvrtc(built: Any) -> None:
    def missing() -> None:
        raise RuntimeError("Failure finding\n  libnvrtc.so")

    built.setattr(cuda._bindings().nvrtc, "nvrtcVersion", missing)
    lacks(
        r"finds no library of NVRTC \(Failure finding libnvrtc\.so\); pip install "
        r"'gradstep\[cuda"
    )


def test_the_extras_that_are_named() -> None:
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert {f"cuda{major}" for major in cuda._KNOWN} == {
        name for name in extras if name.startswith("cuda")
    }


# -- the driver, in another process


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a libcuda.so.1."""
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    linked = [f"-Wl,-soname,{library.name}", "-o", library, "-ldl"]
    subprocess.run(["cc", *flags, HERE / "fake_driver.c", *linked], check=True)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("launch", "one_per_architecture", "capture", "errors", "threads"),
        *("contexts", "step"),
    ],
)
def test_on_a_fake_driver(name: str, driver: Path) -> None:
    for source in (SOURCE, OTHER):
        for major, minor in set(CAPABILITIES):
            cuda.cubin(source, 10 * major + minor)
    for source in MODULES if name == "step" else ():
        cuda.cubin(source, 90)
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "on_fake_driver.py", name],
        env=os.environ | {"LD_LIBRARY_PATH": str(driver)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
