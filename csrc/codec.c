/* codec.c: every code, for one CPU level. Only integers, selects and exact or IEEE
 * operations of float, so that all levels make the same codes. A number that is not
 * finite stays one; what happens to its neighbours stands beside each code. */
#include "codec.h"

#include <math.h>
#include <string.h>

#include "kernel.h"
#include "mix.h"

#define JOIN_(word, isa) gs_codec_##word##_##isa
#define JOIN(word, isa) JOIN_(word, isa)
#define CODEC(word) JOIN(word, ISA)
/* Arrays of callers begin at any byte. */
typedef uint16_t any16 __attribute__((aligned(1)));

#define LOOP static __attribute__((noinline))

static inline uint32_t bits_of(float x)
{
    const union {
        float value;
        uint32_t bits;
    } y = {.value = x};
    return y.bits;
}

static inline float of_bits(uint32_t bits)
{
    const union {
        uint32_t bits;
        float value;
    } y = {.bits = bits};
    return y.value;
}

#define SIGN_BIT 0x80000000u
#define INFINITE 0x7f800000u
#define NORMAL 0x00800000u /* the smallest */
#define QUIET 0x7fc00000u
#define MAGNITUDE(bits) ((bits) & ~SIGN_BIT)

/* A number from 0 to 2^32 - 1 that depends on a key and a place in no way that shows:
 * C. Wellons' lowbias32 with a second key between its rounds. */
static inline uint32_t noise(uint32_t at, uint32_t first, uint32_t second)
{
    uint32_t x = at + first;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = x + second;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* How many of n elements from `from` on have the same upper half of their number, which
 * is part of the key. */
static size_t same_upper(size_t from, size_t n)
{
    const uint64_t left = ((uint64_t)1 << 32) - (uint32_t)from;
    return n < left ? n : (size_t)left;
}

/* ---- bfloat16: the upper half of a float -------------------------------------------- */

LOOP void bf16_values(size_t n, const any16 *restrict code, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = of_bits((uint32_t)code[i] << 16);
}

/* To the nearest, ties to even. */
LOOP void bf16_codes(size_t n, const float *restrict x, any16 *restrict code)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(x[i]);
        const uint32_t near = b + 0x7fff + (b >> 16 & 1);
        code[i] = (uint16_t)((MAGNITUDE(b) > INFINITE ? b | QUIET : near) >> 16);
    }
}

/* Up or down at random, so that the mean of many is the number. */
LOOP void bf16_random_codes(size_t n, const float *restrict x, any16 *restrict code,
                            uint32_t at, uint32_t first, uint32_t second)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(x[i]);
        const uint32_t up = b + (noise(at + (uint32_t)i, first, second) >> 16);
        const uint32_t still = MAGNITUDE(b) > INFINITE ? b | QUIET : b;
        code[i] = (uint16_t)((MAGNITUDE(b) >= INFINITE ? still : up) >> 16);
    }
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

/* ---- a float in two halves: bfloat16, and what it lacks --------------------------- */

LOOP void split_values(size_t n, const any16 *restrict high, const any16 *restrict low,
                       float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t upper = (uint32_t)high[i] << 16;
        const uint32_t whole = upper + (uint32_t)(int32_t)(int16_t)low[i];
        /* The lower half of a number that has been overwritten may lead away from 0 or
         * an infinity to nowhere. */
        const uint32_t turned = (whole ^ upper) & SIGN_BIT;
        x[i] = of_bits(turned || MAGNITUDE(whole) > INFINITE ? upper : whole);
    }
}

/* The upper half is the nearest bfloat16, ties away from zero: a tie to even would leave
 * in the lower half one value too many. */
LOOP void split_codes(size_t n, const float *restrict x, any16 *restrict high,
                      any16 *restrict low)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(x[i]);
        const uint32_t kept = MAGNITUDE(b) > INFINITE ? QUIET : b;
        high[i] = (uint16_t)((kept + 0x8000) >> 16);
        low[i] = (uint16_t)kept;
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

/* ---- float16 ---------------------------------------------------------------------- */

LOOP void f16_values(size_t n, const any16 *restrict code, float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t rest = (uint32_t)(code[i] & 0x7fff) << 13;
        const uint32_t finite = bits_of(of_bits(rest) * 0x1p112f); /* exact */
        const uint32_t b = rest >= 0x0f800000 ? rest | INFINITE : finite;
        x[i] = of_bits(b | (uint32_t)(code[i] & 0x8000) << 16);
    }
}

/* To the nearest, ties to even; to subnormal numbers, which are multiples of 2^-24, as
 * the sum with 1/2 is rounded. */
LOOP void f16_codes(size_t n, const float *restrict x, any16 *restrict code)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t sign = bits_of(x[i]) >> 16 & 0x8000;
        const uint32_t b = MAGNITUDE(bits_of(x[i]));
        const uint32_t normal = (b + 0xfff + (b >> 13 & 1) - (112u << 23)) >> 13;
        const uint32_t small = bits_of(of_bits(b) + 0.5f) - bits_of(0.5f);
        const uint32_t finite = b < 113u << 23 ? small : normal;
        const uint32_t large = b > INFINITE ? 0x7e00 : 0x7c00;
        code[i] = (uint16_t)((b >= 143u << 23 ? large : finite) | sign);
    }
}

static void f16_decode(const gs_coded *a, size_t from, size_t n, float *x)
{
    f16_values(n, (const any16 *)a->data + from, x);
}

static void f16_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    f16_codes(n, x, (any16 *)a->data + from);
}

/* ---- one byte, and a scale for each block ------------------------------------------
 * Where all numbers of a block are >= 0, as mean squares are, byte q is scale (q/255)^4;
 * else, which a negative scale says, scale s |s| with s = (q - 128)/127: small numbers
 * get finer steps. Rounded at random in q. Above 0 q is never 0, since a mean square
 * that vanished would be divided by. One number that is not finite makes the block NaN. */

LOOP void block_values(size_t n, const uint8_t *restrict code, float scale,
                       float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        const float s = (float)code[i] * (1.0f / 255), s2 = s * s;
        x[i] = scale * (s2 * s2);
    }
}

LOOP void block_signed_values(size_t n, const uint8_t *restrict code, float scale,
                              float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        const float s = ((float)code[i] - 128) * (1.0f / 127);
        x[i] = scale * (s * fabsf(s));
    }
}

/* The bits of the largest magnitude, with the sign bit if a number is below 0. */
LOOP uint32_t block_extent(size_t n, const float *restrict x)
{
    uint32_t most = 0, below = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(x[i]);
        most = MAGNITUDE(b) > most ? MAGNITUDE(b) : most;
        below |= b > SIGN_BIT ? SIGN_BIT : 0;
    }
    return most | below;
}

#define UNIT(noise) ((float)((noise) >> 8) * 0x1p-24f) /* in [0, 1) */

LOOP void block_codes(size_t n, const float *restrict x, float inverse,
                      uint8_t *restrict code, uint32_t at, uint32_t first,
                      uint32_t second)
{
    for (size_t i = 0; i < n; i++) {
        const float q = sqrtf(sqrtf(x[i] * inverse)) * 255;
        const int32_t near =
            (int32_t)(q + UNIT(noise(at + (uint32_t)i, first, second)));
        const int32_t least = x[i] > 0 ? 1 : 0;
        const int32_t kept = near < least ? least : near;
        code[i] = (uint8_t)(kept > 255 ? 255 : kept);
    }
}

LOOP void block_signed_codes(size_t n, const float *restrict x, float inverse,
                             uint8_t *restrict code, uint32_t at, uint32_t first,
                             uint32_t second)
{
    for (size_t i = 0; i < n; i++) {
        const float q = sqrtf(fabsf(x[i]) * inverse) * 127;
        const int32_t near =
            (int32_t)(q + UNIT(noise(at + (uint32_t)i, first, second)));
        const int32_t size = near > 127 ? 127 : near;
        code[i] = (uint8_t)(128 + (x[i] < 0 ? -size : size));
    }
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
    const uint32_t extent = block_extent(n, x), most = MAGNITUDE(extent);
    const bool plain = NORMAL <= most && most < INFINITE; /* else all 0, or all NaN */
    const float scale = of_bits(plain ? most : most < NORMAL ? 0 : QUIET);
    const uint64_t key = gs_mix(a->key + ((uint64_t)at >> 32));
    uint8_t *code = (uint8_t *)a->data + at;
    ((float *)a->beside)[at / GS_SCALED] = extent > most ? -scale : scale;
    if (!plain) {
        memset(code, 0, n);
        return;
    }
    (extent > most ? block_signed_codes : block_codes)(
        n, x, 1 / scale, code, (uint32_t)at, (uint32_t)key, (uint32_t)(key >> 32));
}

static void blocks_encode(const gs_coded *a, size_t from, size_t n, const float *x)
{
    for (size_t done = 0; done < n; done += GS_SCALED)
        block_encode(a, from + done, at_most_a_block(n - done), x + done);
}

/* ---- all of them ------------------------------------------------------------------ */

const gs_codec CODEC(all)[] = {
    {"bf16", 2, 0, 1, bf16_decode, bf16_encode},
    {"bf16_random", 2, 0, 1, bf16_decode, bf16_random_encode},
    {"bf16_split", 2, 2, 1, split_decode, split_encode},
    {"f16", 2, 0, 1, f16_decode, f16_encode},
    {"blocks", 1, sizeof(float), GS_SCALED, blocks_decode, blocks_encode},
    {0},
};
