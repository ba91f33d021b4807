/* codec.c: the loops over arrays in code, for one CPU level; codes.h says what one code
 * means. */
#include "codec.h"

#include <string.h>

#include "codes.h"
#include "kernel.h"
#include "mix.h"

#define JOIN_(word, isa) gs_codec_##word##_##isa
#define JOIN(word, isa) JOIN_(word, isa)
#define CODEC(word) JOIN(word, ISA)
/* Arrays of callers begin at any byte. */
typedef uint16_t any16 __attribute__((aligned(1)));

#define LOOP static __attribute__((noinline))

/* How many of n elements from `from` on have the same upper half of their number, which
 * is part of the key. */
static size_t same_upper(size_t from, size_t n)
{
    const uint64_t left = ((uint64_t)1 << 32) - (uint32_t)from;
    return n < left ? n : (size_t)left;
}

LOOP void bf16_values(size_t n, const any16 *restrict code, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = bf16_value(code[i]);
}

LOOP void bf16_codes(size_t n, const float *restrict x, any16 *restrict code)
{
    for (size_t i = 0; i < n; i++)
        code[i] = bf16_code(x[i]);
}

LOOP void bf16_random_codes(size_t n, const float *restrict x, any16 *restrict code,
                            uint32_t at, uint32_t first, uint32_t second)
{
    for (size_t i = 0; i < n; i++)
        code[i] = bf16_random_code(x[i], noise(at + (uint32_t)i, first, second));
}

static void bf16_decode(const gs_coded *a, size_t from, size_t n, float *x)
{
    bf16_values(n, (const any16 *)a->data + from, x);
}

static void bf16_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    bf16_codes(n, x, (any16 *)a->data + from);
}

static void bf16_random_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    for (size_t done = 0; done < n;) {
        const size_t at = from + done, m = same_upper(at, n - done);
        const uint64_t key = gs_mix(a->key + ((uint64_t)at >> 32));
        bf16_random_codes(m, x + done, (any16 *)a->data + at, (uint32_t)at,
                          (uint32_t)key, (uint32_t)(key >> 32));
        done += m;
    }
}

LOOP void split_values(size_t n, const any16 *restrict high, const any16 *restrict low,
                       float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = split_value(high[i], low[i]);
}

LOOP void split_codes(size_t n, const float *restrict x, any16 *restrict high,
                      any16 *restrict low)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t both = split_code(x[i]);
        high[i] = (uint16_t)(both >> 16);
        low[i] = (uint16_t)both;
    }
}

static void split_decode(const gs_coded *a, size_t from, size_t n, float *x)
{
    split_values(n, (const any16 *)a->data + from, (const any16 *)a->beside + from, x);
}

static void split_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    split_codes(n, x, (any16 *)a->data + from, (any16 *)a->beside + from);
}

LOOP void f16_values(size_t n, const any16 *restrict code, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = f16_value(code[i]);
}

LOOP void f16_codes(size_t n, const float *restrict x, any16 *restrict code)
{
    for (size_t i = 0; i < n; i++)
        code[i] = f16_code(x[i]);
}

static void f16_decode(const gs_coded *a, size_t from, size_t n, float *x)
{
    f16_values(n, (const any16 *)a->data + from, x);
}

static void f16_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    f16_codes(n, x, (any16 *)a->data + from);
}

LOOP void block_values(size_t n, const uint8_t *restrict code, float scale,
                       float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = block_value(code[i], scale);
}

LOOP void block_signed_values(size_t n, const uint8_t *restrict code, float scale,
                              float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = block_signed_value(code[i], scale);
}

LOOP uint32_t block_extent(size_t n, const float *restrict x)
{
    uint32_t most = 0, below = 0; /* block_join is not vectorised */
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(x[i]);
        most = MAGNITUDE(b) > most ? MAGNITUDE(b) : most;
        below |= b > SIGN_BIT ? SIGN_BIT : 0;
    }
    return most | below;
}

LOOP void block_codes(size_t n, const float *restrict x, float inverse,
                      uint8_t *restrict code, uint32_t at, uint32_t first,
                      uint32_t second)
{
    for (size_t i = 0; i < n; i++)
        code[i] = block_code(x[i], inverse, noise(at + (uint32_t)i, first, second));
}

LOOP void block_signed_codes(size_t n, const float *restrict x, float inverse,
                             uint8_t *restrict code, uint32_t at, uint32_t first,
                             uint32_t second)
{
    for (size_t i = 0; i < n; i++)
        code[i] =
            block_signed_code(x[i], inverse, noise(at + (uint32_t)i, first, second));
}

static size_t at_most_a_block(size_t n)
{
    return n < GS_SCALED ? n : GS_SCALED;
}

static void blocks_decode(const gs_coded *a, size_t from, size_t n, float *x)
{
    for (size_t done = 0; done < n; done += GS_SCALED) {
        const size_t m = at_most_a_block(n - done);
        const uint8_t *code = (const uint8_t *)a->data + from + done;
        const float scale = ((const float *)a->beside)[(from + done) / GS_SCALED];
        if (scale < 0)
            block_signed_values(m, code, -scale, x + done);
        else
            block_values(m, code, scale, x + done);
    }
}

static void block_encode(const gs_coded *a, size_t at, size_t n, const float *x)
{
    const uint32_t extent = block_extent(n, x);
    const bool below = extent & SIGN_BIT;
    const float scale = block_scale(extent);
    const uint64_t key = gs_mix(a->key + ((uint64_t)at >> 32));
    uint8_t *code = (uint8_t *)a->data + at;
    ((float *)a->beside)[at / GS_SCALED] = below ? -scale : scale;
    if (!block_is_plain(extent)) {
        memset(code, 0, n);
        return;
    }
    (below ? block_signed_codes : block_codes)(n, x, 1 / scale, code, (uint32_t)at,
                                               (uint32_t)key, (uint32_t)(key >> 32));
}

static void blocks_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    for (size_t done = 0; done < n; done += GS_SCALED)
        block_encode(a, from + done, at_most_a_block(n - done), x + done);
}

const gs_codec CODEC(all)[] = {
    {"bf16", 2, 0, 1, bf16_decode, bf16_encode},
    {"bf16_random", 2, 0, 1, bf16_decode, bf16_random_encode},
    {"bf16_split", 2, 2, 1, split_decode, split_encode},
    {"f16", 2, 0, 1, f16_decode, f16_encode},
    {"blocks", 1, sizeof(float), GS_SCALED, blocks_decode, blocks_encode},
    {0},
};
