/* multi_tensor.cuh: rules on the arrays of many tensors at once, in a device's memory.
 * Compiled at run time, for one rule and one kind of storage, by NVRTC; or as C++, to try
 * it without a device. Beside what rule_begin.h wants, these are defined:
 *   P_CODE, G_CODE, S_CODE   the codes of parameter, gradient and states
 *   MASTER                   whether the parameter has a float beside it
 * and then the rule's header is included, whose end includes rule_device.h. */
#ifndef GRADSTEP_MULTI_TENSOR_CUH
#define GRADSTEP_MULTI_TENSOR_CUH

#include "codes.h"
#include "device.h"
#include "measure.h"
#include "mix.h"
#include "scalar.h"

#define PLAIN 0
#define BF16 1
#define BF16_RANDOM 2
#define BF16_SPLIT 3
#define F16 4
#define BLOCKS 5

#define ANY_BLOCKS (S_CODE == BLOCKS)
#define BESIDE (P_CODE == BF16_SPLIT || MASTER)

/* Elements that a thread takes at once: 16 bytes of the narrowest array, but not more than
 * registers hold; in blocks with a scale, a warp takes one. */
#if P_CODE == PLAIN && G_CODE == PLAIN && S_CODE == PLAIN
#define TOGETHER (16 / (int)sizeof(T))
#else
#define TOGETHER (GS_SCALED / GS_WARP)
#endif

/* Blocks of threads that are to find room at once. Where the compiler would rather put
 * registers in memory than have fewer, it is told that fewer will do. */
#if ANY_BLOCKS
#define STEP_BOUNDS __launch_bounds__(GS_STEP_THREADS, P_CODE == BF16_SPLIT ? 2 : 3)
#else
#define STEP_BOUNDS __launch_bounds__(GS_STEP_THREADS)
#endif

template <int SLOTS> struct table {
    enum { MOST = GS_MOST(SLOTS) };
    gs_head head;
    uint64_t slot[SLOTS][MOST];
    uint64_t n[MOST];
    uint32_t start[MOST];
    uint32_t number[MOST];
};

/* The tensor of a block. */
template <int SLOTS> RULE_FN uint32_t find_tensor(const table<SLOTS> &t)
{
    uint32_t low = 0, high = t.head.tensors - 1;
    while (low < high) {
        const uint32_t middle = (low + high + 1) / 2;
        if (t.start[middle] <= blockIdx.x)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* ---- memory ------------------------------------------------------------------------ */

/* N elements as one access, or as several of 16 bytes. */
template <class E, int N> struct alignas(N * sizeof(E)) piece {
    E x[N];
};

template <class E, int N> struct vector {
    enum { LENGTH = N * sizeof(E) > 16 ? 16 / (int)sizeof(E) : N };
    typedef piece<E, LENGTH> part;
};

template <int N, class E> RULE_FN void fetch(const E *at, E *x)
{
    typedef typename vector<E, N>::part part;
#pragma unroll
    for (int k = 0; k < N; k += vector<E, N>::LENGTH) {
        const part found = *(const part *)(at + k);
#pragma unroll
        for (int j = 0; j < vector<E, N>::LENGTH; j++)
            x[k + j] = found.x[j];
    }
}

template <int N, class E> RULE_FN void put(E *at, const E *x)
{
    typedef typename vector<E, N>::part part;
#pragma unroll
    for (int k = 0; k < N; k += vector<E, N>::LENGTH) {
        part made;
#pragma unroll
        for (int j = 0; j < vector<E, N>::LENGTH; j++)
            made.x[j] = x[k + j];
        *(part *)(at + k) = made;
    }
}

/* How a thread takes elements: as vectors, or one by one if they are there. */
enum access { VECTORS, GUARDED };

/* Which elements a thread takes of an array: i, i + APART, ..., of which those below `left`
 * are there. */
template <int COUNT, int STRIDE, access HOW> struct place {
    enum { N = COUNT, APART = STRIDE };
    uint64_t i;
    uint32_t left;

    bool has(int k) const
    {
        return HOW != GUARDED || (uint32_t)(k * APART) < left;
    }

    template <class E> void read(const void *array, E *x) const
    {
        const E *at = (const E *)array + i;
        if constexpr (HOW == VECTORS) {
            fetch<N>(at, x);
        } else {
#pragma unroll
            for (int k = 0; k < N; k++)
                x[k] = has(k) ? at[k * APART] : E(0);
        }
    }

    template <class E> void write(void *array, const E *x) const
    {
        E *at = (E *)array + i;
        if constexpr (HOW == VECTORS) {
            put<N>(at, x);
        } else {
#pragma unroll
            for (int k = 0; k < N; k++)
                if (has(k))
                    at[k * APART] = x[k];
        }
    }
};

/* What a step knows of its tensor. The scale is 0 if it does not fit T; that and the keys,
 * which are for codes, are left in the record, as they would take many registers. */
struct known {
    T grad_scale;
    bool first;
    const gs_record *record;
};

RULE_FN known known_of(const gs_record &r, double scale)
{
    const bool fits = scale_fits(scale, r.grad_power, sizeof(T) == sizeof(double));
    return {fits ? (T)scale : (T)0, r.first != 0, &r};
}

/* Scales the elements of a gradient that one thread has. */
template <int N> RULE_FN void scale_gradient(const known &told, T *g)
{
    if (told.grad_scale != 0) {
#pragma unroll
        for (int k = 0; k < N; k++)
            g[k] = told.grad_scale * g[k];
    } else {
        const gs_record &r = *told.record;
#pragma unroll
        for (int k = 0; k < N; k++)
            g[k] = (T)scaled_exactly(g[k], r.grad_scale, r.grad_power);
    }
}

/* ---- codes ------------------------------------------------------------------------- */

/* Random numbers for elements of one array. */
struct draw {
    uint32_t first, second;
};

/* The upper half of an element's number is part of the key. */
RULE_FN draw draw_at(uint64_t key, uint64_t i)
{
    const uint64_t mixed = gs_mix(key + (i >> 32));
    return {(uint32_t)mixed, (uint32_t)(mixed >> 32)};
}

template <int CODE, class AT> RULE_FN void decode(const AT &at, const void *array, T *x)
{
    if constexpr (CODE == PLAIN) {
        at.template read<T>(array, x);
    } else {
        uint16_t code[AT::N];
        at.template read<uint16_t>(array, code);
#pragma unroll
        for (int k = 0; k < AT::N; k++)
            x[k] = CODE == F16 ? f16_value(code[k]) : bf16_value(code[k]);
    }
}

template <int CODE, class AT>
RULE_FN void encode(const AT &at, void *array, uint64_t key, const T *x)
{
    if constexpr (CODE == PLAIN) {
        at.template write<T>(array, x);
    } else {
        uint16_t code[AT::N];
        const draw d = draw_at(key, at.i);
#pragma unroll
        for (int k = 0; k < AT::N; k++) {
            const uint32_t i = (uint32_t)at.i + (uint32_t)(k * AT::APART);
            code[k] = CODE == F16 ? f16_code(x[k])
                      : CODE == BF16
                          ? bf16_code(x[k])
                          : bf16_random_code(x[k], noise(i, d.first, d.second));
        }
        at.template write<uint16_t>(array, code);
    }
}

#if ANY_BLOCKS
/* A block of GS_SCALED elements is of threads that follow each other in a warp: of all of
 * them, or of those of GS_LANES lanes. */
template <class AT>
RULE_FN void decode_block(const AT &at, const void *array, const void *scales, T *x)
{
    uint8_t code[AT::N];
    at.template read<uint8_t>(array, code);
    const float scale = at.has(0) ? ((const float *)scales)[at.i / GS_SCALED] : 0;
#pragma unroll
    for (int k = 0; k < AT::N; k++)
        x[k] = scale < 0 ? block_signed_value(code[k], -scale)
                         : block_value(code[k], scale);
}

template <class AT>
RULE_FN void encode_block(const AT &at, void *array, void *scales, uint64_t key,
                          const T *x)
{
    uint8_t code[AT::N];
    uint32_t extent = 0;
#pragma unroll
    for (int k = 0; k < AT::N; k++)
        if (at.has(k))
            extent = block_join(extent, block_part(x[k]));
    for (int apart = GS_SCALED / AT::N / 2; apart; apart /= 2)
        extent = block_join(extent, __shfl_xor_sync(0xffffffffu, extent, apart));
    const bool below = extent & SIGN_BIT;
    const float scale = block_scale(extent), inverse = 1 / scale;
    const draw d = draw_at(key, at.i);
#pragma unroll
    for (int k = 0; k < AT::N; k++) {
        const uint32_t i = (uint32_t)at.i + (uint32_t)(k * AT::APART);
        const uint32_t random = noise(i, d.first, d.second);
        const T y = at.has(k) ? x[k] : 0;
        code[k] = !block_is_plain(extent) ? 0
                  : below                 ? block_signed_code(y, inverse, random)
                                          : block_code(y, inverse, random);
    }
    at.template write<uint8_t>(array, code);
    if (at.has(0) && at.i % GS_SCALED == 0)
        ((float *)scales)[at.i / GS_SCALED] = below ? -scale : scale;
}
#endif

/* The parameter as it is stepped: of two halves, or its master, unless others have written
 * to it since it was made from that. */
template <class AT>
RULE_FN void open_parameter(const AT &at, const void *array, const void *beside, T *p)
{
    if constexpr (BESIDE) {
        uint16_t code[AT::N];
        at.template read<uint16_t>(array, code);
#if MASTER
        at.template read<T>(beside, p);
#pragma unroll
        for (int k = 0; k < AT::N; k++) {
            const uint16_t then = P_CODE == F16 ? f16_code(p[k]) : bf16_code(p[k]);
            const T now = P_CODE == F16 ? f16_value(code[k]) : bf16_value(code[k]);
            p[k] = then == code[k] ? p[k] : now;
        }
#else
        uint16_t low[AT::N];
        at.template read<uint16_t>(beside, low);
#pragma unroll
        for (int k = 0; k < AT::N; k++)
            p[k] = split_value(code[k], low[k]);
#endif
    } else {
        decode<P_CODE>(at, array, p);
    }
}

template <class AT>
RULE_FN void close_parameter(const AT &at, void *array, void *beside, uint64_t key,
                             const T *p)
{
    if constexpr (P_CODE == BF16_SPLIT) {
        uint16_t high[AT::N], low[AT::N];
#pragma unroll
        for (int k = 0; k < AT::N; k++) {
            const uint32_t both = split_code(p[k]);
            high[k] = (uint16_t)(both >> 16);
            low[k] = (uint16_t)both;
        }
        at.template write<uint16_t>(array, high);
        at.template write<uint16_t>(beside, low);
    } else {
        encode<P_CODE>(at, array, key, p);
        if constexpr (MASTER)
            at.template write<T>(beside, p);
    }
}

#endif
