"""What the interpreter of PTX refuses: it says which instruction, and which lane."""

from typing import Any

import numpy as np
import pytest

from device_kernels import EXACT, Kernel, architectures, compiled
from ptx import KernelError, Memory, NotInterpreted, Program

N = np.uint32(64)
SKELETON = """
.version 9.0
.target sm_90
.address_size 64
.visible .entry kernel(.param .align 8 .b8 args[16])
{
    .reg .pred %p<4>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<9>;
    ld.param.u64 %rd1, [args];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
BODY
    ret;
}
"""


def written(body: str, *, block: int = 64, **options: Any) -> np.ndarray:
    """Run PTX that no compiler has made, on one array."""
    out, memory = np.zeros(block, "u4"), Memory()
    memory.add(out)
    argument = np.array([out.ctypes.data, 0], "u8").tobytes()
    program = Program(SKELETON.replace("BODY", body))
    program.run(
        "kernel", grid=1, block=block, argument=argument, memory=memory, **options
    )
    return out


@architectures
def test_a_misaligned_vector(sm: int) -> None:
    whole = np.zeros(4 * 64 + 4, "f4")
    start = -whole.ctypes.data // 4 % 4 + 1
    kernel = Kernel("((float4*)x)[i].x = ((float4*)x)[i].y;", sm=sm)
    with pytest.raises(KernelError, match=r"misaligned access of 16 bytes: ld\.global"):
        Kernel("float4 v = ((float4*)x)[i]; v.x += v.w; ((float4*)x)[i] = v;", sm=sm)(
            block=64, x=whole[start : start + 256]
        )
    kernel(block=64, x=whole[start - 1 : start + 255])


@architectures
def test_an_index_beyond_the_end(sm: int) -> None:
    whole = np.zeros(100, "f4")
    store = Kernel("x[i + 1] = 1;", sm=sm)
    with pytest.raises(
        KernelError, match=r"outside.*st\.global.*lane 63: thread 31 of b"
    ):
        store(grid=2, block=32, x=whole[:64])
    store(grid=2, block=32, x=whole[:65])
    assert whole.sum() == 64
    with pytest.raises(KernelError, match=r"(wild|outside).*ld\.global.*lane 0: "):
        Kernel("x[i] = x[(long long)i - n];", sm=sm)(block=32, x=whole[:64], n=N)
    with pytest.raises(KernelError, match=r"wild"):
        Kernel("*(int*)(u64)n = i;", sm=sm)(block=32, n=N)


@architectures
def test_a_vector_that_only_begins_inside(sm: int) -> None:
    whole = np.zeros(8, "f8")
    start = whole.ctypes.data // 8 % 2
    kernel = Kernel("((double2*)x)[i] = double2{1, 2};", sm=sm)
    with pytest.raises(KernelError, match="16 bytes beyond a buffer's end"):
        kernel(block=2, x=whole[start : start + 3])


def test_what_is_only_to_be_read() -> None:
    x = np.zeros(64)
    x.flags.writeable = False
    with pytest.raises(KernelError, match="only to be read"):
        Kernel("x[i] = 1;")(block=64, x=x)


def test_beyond_shared_memory() -> None:
    body = "extern __shared__ float s[]; s[i] = i; __syncthreads(); x[i] = s[i ^ 1];"
    x = np.zeros(64, "f4")
    Kernel(body)(block=64, shared=256, x=x)
    assert x.tolist() == [float(i ^ 1) for i in range(64)]
    with pytest.raises(KernelError, match=r"4 bytes outside of 252: st\.shared"):
        Kernel(body)(block=64, shared=252, x=x)


def test_what_nobody_has_written_is_not_zero() -> None:
    x = np.zeros(64, "u4")
    Kernel("extern __shared__ u32 s[]; x[i] = s[i];")(block=64, shared=256, x=x)
    assert x.all()
    assert written("st.global.u32 [%rd3], %r8;").all()


def test_below_local_memory() -> None:
    body = """
        .local .align 4 .b8 depot[16];
        and.b32 %r2, %r1, 4;
        cvt.u64.u32 %rd4, %r2;
        mov.u64 %rd5, depot;
        sub.s64 %rd6, %rd5, %rd4;
    """
    store = "st.local.u32 [%rd6+OFFSET], %r1; ld.local.u32 %r3, [%rd6+OFFSET];"
    body += store + "st.global.u32 [%rd3], %r3;"
    assert written(body.replace("OFFSET", "4")).tolist() == list(range(64))
    with pytest.raises(KernelError, match=r"4 bytes outside of 16.*thread 4 of"):
        written(body.replace("OFFSET", "0"))
    # An address of no named space, which for some threads is one of the host.
    anywhere = """
        setp.eq.u32 %p1, %r1, 9;
        add.s64 %rd5, %rd5, 16;
        selp.b64 %rd6, %rd5, %rd3, %p1;
        st.u32 [%rd6], %r1;
    """
    with pytest.raises(KernelError, match=r"outside of 16: st\.u32.*thread 9 of"):
        written(body.replace("OFFSET", "4") + anywhere)


@architectures
def test_floats_that_are_fused(sm: int) -> None:
    x = np.ones(64, "f4")
    body = "x[i] = x[i] * x[i] + 3.0f;"
    fused = ("--fmad=true", *EXACT[1:])
    Kernel(body, sm=sm)(block=64, x=x)
    with pytest.raises(KernelError, match=r"forbidden: fma\.rn\.f32 .*in kernel"):
        Kernel(body, sm=sm, options=fused)(block=64, x=x)
    # What may yet be fused is as bad.
    with pytest.raises(KernelError, match=r"forbidden: add\.f32"):
        Kernel("x[i] = x[i] + 3.0f;", sm=sm, options=fused)(block=64, x=x)


def test_a_fused_float_is_right_if_it_is_asked_for() -> None:
    # Squares in the middle between floats; a little more or less decides.
    x, o = np.full(512, 1 + 2.0**-12, "f4"), np.zeros(512, "f4")
    z = np.where(np.arange(512) % 2, 2.0**-80, -(2.0**-80)).astype("f4")
    kernel = Kernel("o[i] = fmaf(x[i], x[i], z[i]);", forbidden=())
    kernel(block=512, x=x, z=z, o=o)
    assert o.tolist() == [1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-23] * 256
    assert kernel.program.used["fma.rn.f32"] == 1


@pytest.mark.parametrize(
    "option", ["--ftz=true", "--prec-div=false", "--prec-sqrt=false"]
)
def test_roundings_that_are_not_exact(option: str) -> None:
    x = np.ones(64, "f4")
    with pytest.raises(KernelError, match=r"forbidden: .*\.(ftz|approx|full)"):
        Kernel("x[i] = sqrtf(x[i]) / (x[i] + 2);", options=(*EXACT, option))(
            block=64, x=x
        )


@architectures
def test_an_endless_loop(sm: int) -> None:
    kernel = Kernel("while (((volatile float*)x)[i] == 0) ;", sm=sm)
    with pytest.raises(KernelError, match="no end after 5000 instructions"):
        kernel(block=64, limit=5000, x=np.zeros(64, "f4"))
    assert kernel.program.used.total() == 5001


@architectures
def test_a_barrier_that_not_all_come_to(sm: int) -> None:
    body = "if (i & 1) { __syncthreads(); x[i] = 1; } else { x[i] = 2; BACK }"
    body += "__syncthreads();"
    x = np.zeros(64, "f4")
    # Who has ended is not waited for.
    Kernel(body.replace("BACK", "return;"), sm=sm)(block=64, x=x)
    assert x.tolist() == [2, 1] * 32
    with pytest.raises(KernelError, match=r"wait here.*bar\.sync"):
        written("""
            and.b32 %r2, %r1, 1;
            setp.eq.u32 %p1, %r2, 0;
            @%p1 bar.sync 0;
            @!%p1 bar.sync 1;
            bar.sync 0;
        """)


def test_a_shuffle_with_lanes_that_are_not_there() -> None:
    with pytest.raises(KernelError, match=r"takes no part: shfl\.sync.*thread 4 of"):
        written("shfl.sync.down.b32 %r2, %r1, 1, 31, -1;", block=5)
    with pytest.raises(KernelError, match=r"wait here.*: @%p1 shfl"):
        written("""
            setp.eq.u32 %p1, %r1, 9;
            @%p1 shfl.sync.idx.b32 %r2, %r1, 0, 31, -1;
            @!%p1 shfl.sync.idx.b32 %r2, %r1, 1, 31, -1;
        """)
    with pytest.raises(KernelError, match=r"not in its own mask.*thread 1 of"):
        written("shfl.sync.idx.b32 %r2, %r1, 0, 31, 1;")


def test_what_only_the_text_of_ptx_can_say() -> None:
    out = written("""
        and.b32 %r2, %r1, 3;
        mov.u32 %r3, 100;
        setp.lt.u32 %p1, %r2, 2;
        @%p1 add.u32 %r3, %r3, %r2;
        @!%p1 mov.u32 %r3, 7;
        ts: .branchtargets A, B, A, C;
        brx.idx %r2, ts;
    A:  add.u32 %r3, %r3, 1000;
    B:  add.u32 %r3, %r3, 10000;
    C:  st.global.u32 [%rd3], %r3;
    """)
    assert out.tolist() == [11100, 10101, 11007, 7] * 16


def test_comparisons_with_nan_hold_if_they_are_unordered() -> None:
    for first, unordered in (("0f7FC00000", True), ("0f3F800000", False)):
        pair = f"{first}, 0f3F800000"
        for word, holds in {
            **dict.fromkeys(("eq", "le", "ge", "num"), not unordered),
            **dict.fromkeys(("ne", "lt", "gt"), False),
            **dict.fromkeys(("equ", "leu", "geu"), True),
            **dict.fromkeys(("neu", "ltu", "gtu", "nan"), unordered),
        }.items():
            out = written(f"set.{word}.u32.f32 %r2, {pair}; st.global.u32 [%rd3], %r2;")
            assert (out == (2**32 - 1 if holds else 0)).all(), (word, first)


def test_integers_divided_by_zero() -> None:
    with pytest.raises(KernelError, match=r"division by zero: .*thread 0 of"):
        written("div.u32 %r2, 7, %r1;")


def test_a_trap() -> None:
    with pytest.raises(KernelError, match=r"trap: @%p1 trap \(lane 5: thread 5"):
        written("setp.eq.u32 %p1, %r1, 5;\n @%p1 trap;")


@pytest.mark.parametrize(
    "text",
    [
        "add.cc.u32 %r2, %r1, %r1",
        "add.u32 %r2, %r1",
        "addc.u32 %r2, %r1, %r1",
        "add.sat.s32 %r2, %r1, 1",
        "atom.global.add.f32 %r2, [%rd3], %r1",
        "bar.sync 0, 32",
        "call.uni (%r1), nobody, (%r1)",
        "cvt.rz.f32.f64 %r2, %rd1",
        "div.rz.f32 %r2, %r1, %r1",
        "ex2.rn.f32 %r2, %r1",
        "ld.global.b128 %r2, [%rd1]",
        "mov.u32 %r2, %clock",
    ],
)
def test_what_is_not_interpreted(text: str) -> None:
    with pytest.raises(NotInterpreted) as info:
        written(text + ";")
    assert text in str(info.value)


def test_arguments_that_do_not_fit() -> None:
    program, memory = Program(SKELETON.replace("BODY", "")), Memory()
    with pytest.raises(ValueError, match="takes 16 bytes, not 15"):
        program.run("kernel", grid=1, block=1, argument=bytes(15), memory=memory)
    x = np.zeros(9)
    memory.add(x)
    with pytest.raises(ValueError, match="overlaps"):
        memory.add(x[3:])
    with pytest.raises(ValueError, match="contiguous"):
        memory.add(x[::2])
    with pytest.raises(NotInterpreted, match="not PTX"):
        Program("not PTX")
    assert compiled("", 90)
