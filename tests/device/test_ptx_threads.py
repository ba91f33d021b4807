"""What the interpreter of PTX does with threads: they part, meet, wait and exchange."""

import numpy as np
import pytest

from device_kernels import ARCHITECTURES, Array, Kernel, architectures, same

ORDERS = ("together", "warps", "warps reversed")
# Every architecture once, every order once.
WAYS = [(sm, ORDERS[0]) for sm in ARCHITECTURES] + [(90, o) for o in ORDERS[1:]]
ways = pytest.mark.parametrize(("sm", "order"), WAYS)


@ways
def test_threads_go_their_own_ways_and_come_back(sm: int, order: str) -> None:
    body = """
        if (i >= n) return;
        u64 x = i + 1;
        u32 steps = 0;
        while (x != 1) {
            if (x & 1) x = 3 * x + 1; else x /= 2;
            if (++steps == 100) break;
        }
        for (u32 j = 0; j < i % 5; j++) {
            if (j == 3) continue;
            steps += j;
        }
        switch (i % 7) {
            case 0: steps *= 2; break;
            case 1: steps += 100;  // and on to the next
            case 4: steps += 1000; break;
            case 5: o[i] = 7; return;
            default: steps ^= 1;
        }
        o[i] = steps;
    """
    n = 700
    found = np.zeros(1024, "u4")
    Kernel(body, sm=sm)(grid=4, block=256, order=order, o=found, n=np.uint32(n))
    assert found[:n].tolist() == [steps(i) for i in range(n)]
    assert not found[n:].any()


def steps(i: int) -> int:
    x, count = i + 1, 0
    while x != 1 and count < 100:
        x = 3 * x + 1 if x & 1 else x // 2
        count += 1
    count += sum(j for j in range(i % 5) if j != 3)
    ways = {0: 2 * count, 1: count + 1100, 4: count + 1000, 5: 7}
    return ways.get(i % 7, count ^ 1)


@architectures
def test_arrays_of_the_struct_are_indexed_by_threads(sm: int) -> None:
    body = """
        u32 low = 0, high = 8;
        while (low + 1 < high) {
            u32 middle = (low + high) / 2;
            if (start[middle] <= i) low = middle; else high = middle;
        }
        float* p = (float*)slots[i % 2][low];
        u32 copy[8];
        for (u32 j = 0; j < 8; j++) copy[j] = start[j] * i;
        p[i - start[low]] = scale[low] * i + copy[(i * 5) % 8];
    """
    start = np.array([0, 3, 4, 64, 65, 100, 200, 201], "u4")
    ends = np.append(start[1:], 256)
    arrays = [[np.zeros(b - a, "f4") for a, b in zip(start, ends)] for _ in range(2)]
    slots = np.array([[a.ctypes.data for a in row] for row in arrays], "u8")
    scale = np.arange(1, 9).astype("f4")
    kernel = Kernel(body, sm=sm)
    kernel(
        grid=4,
        block=64,
        memory=[a for row in arrays for a in row],
        start=tuple(start),
        slots=tuple(map(tuple, slots)),
        scale=tuple(scale),
    )
    i = np.arange(256, dtype="u4")
    low = np.searchsorted(start, i, "right") - 1
    expected = scale[low] * i.astype("f4") + (start[i * 5 % 8] * i).astype("f4")
    for parity in (0, 1):
        found = np.concatenate(arrays[parity])
        same(found, np.where(i % 2 == parity, expected, np.float32(0)))


VECTORS = """
    float4 a = ((float4*)x)[i];
    a.x += a.y; a.z *= a.w;
    ((float4*)x)[i] = a;
    double2 b = __ldcs((double2*)y + i);
    __stcs((double2*)y + i, double2{b.y, b.x});
    ushort4 c = ((ushort4*)z)[i];
    c.y ^= c.w;
    ((ushort4*)z)[i] = c;
    uchar4 d = ((uchar4*)w)[i];
    d.w = d.x + (signed char)d.y;
    ((uchar4*)w)[i] = d;
"""


@architectures
def test_vectors(sm: int) -> None:
    rng = np.random.default_rng(1)
    n = 96
    x = rng.standard_normal(4 * n).astype("f4")
    y = rng.standard_normal(2 * n)
    z = rng.integers(0, 2**16, 4 * n).astype("u2")
    w = rng.integers(0, 256, 4 * n).astype("u1")
    ex, ey, ez, ew = (a.copy() for a in (x, y, z, w))
    ex[::4] += ex[1::4]
    ex[2::4] *= ex[3::4]
    ey = ey.reshape(-1, 2)[:, ::-1].ravel()
    ez[1::4] ^= ez[3::4]
    ew[3::4] = ew[::4] + ew[1::4]
    kernel = Kernel(VECTORS, sm=sm)
    kernel(grid=1, block=n, x=x, y=y, z=z, w=w)
    for found, expected in ((x, ex), (y, ey), (z, ez), (w, ew)):
        same(found, expected)
    assert kernel.program.used["ld.global.v4.f32"] == 1


SUM = """
    __shared__ double sums[16];
    double v = x[i];
    for (int k = 16; k; k >>= 1) v += __shfl_down_sync(0xffffffff, v, k);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
    BARRIER
    if (threadIdx.x < 32) {
        v = threadIdx.x < 16 ? sums[threadIdx.x] : 0.0;
        for (int k = 8; k; k >>= 1) v += __shfl_down_sync(0xffffffff, v, k);
        if (threadIdx.x == 0) o[blockIdx.x] = v;
    }
"""


def tree(x: Array) -> Array:
    """Add halves until one is left."""
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        x = x[..., :half] + x[..., half:]
    return x[..., 0]


@ways
def test_a_block_adds_its_doubles(sm: int, order: str) -> None:
    x, o = np.random.default_rng(2).standard_normal(5 * 512), np.zeros(5)
    kernel = Kernel(SUM.replace("BARRIER", "__syncthreads();"), sm=sm)
    kernel(grid=5, block=512, order=order, x=x, o=o)
    same(o, tree(tree(x.reshape(5, 16, 32))))


def test_an_order_of_warps_shows_a_missing_barrier() -> None:
    x = np.random.default_rng(3).standard_normal(5 * 512)
    found = {}
    for order in ORDERS:
        o = np.zeros(5)
        Kernel(SUM.replace("BARRIER", ""))(grid=5, block=512, order=order, x=x, o=o)
        found[order] = o
    # In step, and with the first warp last, it does as if nothing were missing.
    same(found["together"], tree(tree(x.reshape(5, 16, 32))))
    assert (found["warps"] != found["together"]).all()


@ways
def test_shuffles_and_votes(sm: int, order: str) -> None:
    body = """
        u32 lane = threadIdx.x % 32, v = x[i], all = 0xffffffff;
        o[i] = __shfl_sync(all, v, (lane * 7 + 3) & 31);
        o[n + i] = __shfl_up_sync(all, v, 5);
        o[2 * n + i] = __shfl_down_sync(all, v, 9);
        o[3 * n + i] = __shfl_xor_sync(all, v, 6);
        o[4 * n + i] = __shfl_down_sync(all, v, 3, 8);
        o[5 * n + i] = __shfl_sync(all, v, 2, 4);
        o[6 * n + i] = __ballot_sync(all, v & 1);
        o[7 * n + i] = __any_sync(all, v < 1000) + 2 * __all_sync(all, v > 10);
        // Only odd lanes, on a way of their own.
        if (lane & 1) o[8 * n + i] = __shfl_xor_sync(0xaaaaaaaa, v, 2);
    """
    n = 256
    x = np.random.default_rng(4).integers(0, 10000, n).astype("u4")
    o = np.zeros((9, n), "u4")
    Kernel(body, sm=sm)(grid=2, block=128, order=order, x=x, o=o, n=np.uint32(n))
    w, lane = x.reshape(-1, 32), np.arange(32)
    ballot = ((w & 1) << lane.astype("u4")).sum(1, dtype="u4")
    expected = [
        w[:, (lane * 7 + 3) & 31],
        w[:, np.where(lane < 5, lane, lane - 5)],
        w[:, np.where(lane + 9 > 31, lane, lane + 9)],
        w[:, lane ^ 6],
        w[:, np.where(lane % 8 + 3 > 7, lane, lane + 3)],
        w[:, lane // 4 * 4 + 2],
        np.repeat(ballot, 32),
        np.repeat((w < 1000).any(1) + 2 * (w > 10).all(1), 32),
        np.where(lane & 1, w[:, lane ^ 2], 0),
    ]
    for found, row in zip(o, expected, strict=True):
        same(found, row.ravel().astype("u4"))


@ways
def test_atomics_and_reductions(sm: int, order: str) -> None:
    body = """
        o[i] = atomicAdd(&u[0], 1u);
        atomicMax(&u[1], x[i]);
        atomicOr(&u[2], x[i]);
        atomicAdd(&q[0], (u64)x[i] << 20);
        if (i == 77) u[3] = atomicExch(&u[4], 5u);
        u32 old = u[5];
        while (atomicCAS(&u[5 + blockIdx.x], old, old + x[i]) != old)
            old = u[5 + blockIdx.x];
        u32 many = __syncthreads_count(x[i] & 1);
        if (__syncthreads_or(x[i] == x[0])) many += 1000;
        c[i] = many;
    """
    x = np.random.default_rng(5).integers(1, 1000, 256).astype("u4")
    o, c = np.zeros((2, 256), "u4")
    u, q = np.zeros(8, "u4"), np.zeros(1, "u8")
    u[4] = 9
    Kernel(body, sm=sm)(grid=2, block=128, order=order, x=x, o=o, u=u, q=q, c=c)
    assert sorted(o.tolist()) == list(range(256))
    blocks = x.reshape(2, 128)
    assert u.tolist() == [
        256,
        x.max(),
        np.bitwise_or.reduce(x),
        9,
        5,
        *blocks.sum(1),
        0,
    ]
    assert q[0] == int(x.sum()) << 20
    odd = (blocks & 1).sum(1) + 1000 * (blocks == x[0]).any(1)
    assert c.tolist() == np.repeat(odd, 128).tolist()


@pytest.mark.parametrize("sm", ARCHITECTURES[1:])  # the first has no such instruction
def test_a_warp_reduces(sm: int) -> None:
    body = """
        o[i] = __reduce_add_sync(0xffffffff, x[i]);
        o[64 + i] = __reduce_max_sync(0xffffffff, x[i]);
        o[128 + i] = __reduce_and_sync(0xffffffff, x[i]);
    """
    x = np.random.default_rng(6).integers(0, 2**32, 64, dtype=np.uint32)
    o = np.zeros((3, 64), "u4")
    Kernel(body, sm=sm)(grid=1, block=64, x=x, o=o)
    w = x.reshape(2, 32)
    each = w.sum(1, dtype="u4"), w.max(1), np.bitwise_and.reduce(w, 1)
    for found, row in zip(o, each):
        same(found, np.repeat(row, 32))


@ways
def test_functions_that_stay_functions(sm: int, order: str) -> None:
    before = """
        __constant__ u32 table[4] = {5, 7, 11, 13};
        __device__ u64 total[2];
        struct Two { double a, b; };
        __device__ __noinline__ Two powers(double x, int n) {
            Two r = {1, x};
            for (int k = 0; k < n; k++) { r.a *= x; if (r.a > 1e6) return r; }
            return r;
        }
        __device__ __noinline__ double twice(double x, int n) {
            return powers(powers(x, n).a, 2).a;
        }
    """
    body = """
        double y = twice(x[i], i % 6);
        if (i % 2) y += powers(x[i], table[i % 4]).b;
        o[i] = y;
        atomicAdd(&total[1], (u64)i);
        extern __shared__ u32 given[];
        given[threadIdx.x] = i;
        __syncthreads();
        o[i] += given[threadIdx.x ^ 1];
    """
    x, o = np.random.default_rng(7).standard_normal(128), np.zeros(128)
    kernel = Kernel(body, sm=sm, before=before)
    kernel(grid=2, block=64, shared=256, order=order, x=x, o=o)
    i = np.arange(128)
    expected = []
    for k, v in zip(i % 6, x):
        p = 1.0
        for _ in range(k):
            p *= v
        expected.append(p * p)
    same(o, np.array(expected) + np.where(i % 2, x, 0) + (i ^ 1))
    total = kernel.program.module.variables[-1].view("u8")
    assert total.tolist() == [0, 127 * 64]
    assert kernel.program.used["call.uni"]
