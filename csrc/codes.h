/* codes.h: what the codes of codec.h mean, of one number. Only integers, selects and exact
 * or IEEE operations of float, so that every CPU level, and every device, makes the same
 * codes. A number that is not finite stays one. */
#ifndef GRADSTEP_CODES_H
#define GRADSTEP_CODES_H

#include <math.h>
#include <stdint.h>

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

/* ---- bfloat16: the upper half of a float -------------------------------------------- */

static inline float bf16_value(uint16_t code)
{
    return of_bits((uint32_t)code << 16);
}

/* To the nearest, ties to even. */
static inline uint16_t bf16_code(float x)
{
    const uint32_t b = bits_of(x);
    const uint32_t near = b + 0x7fff + (b >> 16 & 1);
    return (uint16_t)((MAGNITUDE(b) > INFINITE ? b | QUIET : near) >> 16);
}

/* Up or down at random, so that the mean of many is the number. */
static inline uint16_t bf16_random_code(float x, uint32_t noise)
{
    const uint32_t b = bits_of(x);
    const uint32_t up = b + (noise >> 16);
    const uint32_t still = MAGNITUDE(b) > INFINITE ? b | QUIET : b;
    return (uint16_t)((MAGNITUDE(b) >= INFINITE ? still : up) >> 16);
}

/* ---- a float in two halves: bfloat16, and what it lacks --------------------------- */

static inline float split_value(uint16_t high, uint16_t low)
{
    const uint32_t upper = (uint32_t)high << 16;
    const uint32_t whole = upper + (uint32_t)(int32_t)(int16_t)low;
    /* The lower half of a number that has been overwritten may lead away from 0 or an
     * infinity to nowhere. */
    const uint32_t turned = (whole ^ upper) & SIGN_BIT;
    return of_bits(turned || MAGNITUDE(whole) > INFINITE ? upper : whole);
}

/* Both halves, in the bits of one number. The upper half is the nearest bfloat16, ties
 * away from zero: a tie to even would leave in the lower half one value too many. */
static inline uint32_t split_code(float x)
{
    const uint32_t b = bits_of(x);
    const uint32_t kept = MAGNITUDE(b) > INFINITE ? QUIET : b;
    return ((kept + 0x8000) & 0xffff0000u) | (kept & 0xffff);
}

/* ---- float16 ---------------------------------------------------------------------- */

static inline float f16_value(uint16_t code)
{
    const uint32_t rest = (uint32_t)(code & 0x7fff) << 13;
    const uint32_t finite = bits_of(of_bits(rest) * 0x1p112f); /* exact */
    const uint32_t b = rest >= 0x0f800000 ? rest | INFINITE : finite;
    return of_bits(b | (uint32_t)(code & 0x8000) << 16);
}

/* To the nearest, ties to even; to subnormal numbers, which are multiples of 2^-24, as
 * the sum with 1/2 is rounded. */
static inline uint16_t f16_code(float x)
{
    const uint32_t sign = bits_of(x) >> 16 & 0x8000;
    const uint32_t b = MAGNITUDE(bits_of(x));
    const uint32_t normal = (b + 0xfff + (b >> 13 & 1) - (112u << 23)) >> 13;
    const uint32_t small = bits_of(of_bits(b) + 0.5f) - bits_of(0.5f);
    const uint32_t finite = b < 113u << 23 ? small : normal;
    const uint32_t large = b > INFINITE ? 0x7e00 : 0x7c00;
    return (uint16_t)((b >= 143u << 23 ? large : finite) | sign);
}

/* ---- one byte, and a scale for each block ------------------------------------------
 * Where all numbers of a block are >= 0, as mean squares are, byte q is scale (q/255)^4;
 * else, which a negative scale says, scale s |s| with s = (q - 128)/127: small numbers
 * get finer steps. Rounded at random in q. Above 0 q is never 0, since a mean square
 * that vanished would be divided by. One number that is not finite makes the block NaN. */

static inline float block_value(uint8_t code, float scale)
{
    const float s = (float)code * (1.0f / 255), s2 = s * s;
    return scale * (s2 * s2);
}

static inline float block_signed_value(uint8_t code, float scale)
{
    const float s = ((float)code - 128) * (1.0f / 127);
    return scale * (s * fabsf(s));
}

/* The extent of a block: the bits of the largest magnitude, and the sign bit if a number is
 * below 0. That of one number, and that of two blocks together: */
static inline uint32_t block_part(float x)
{
    return bits_of(x) == SIGN_BIT ? 0 : bits_of(x);
}

static inline uint32_t block_join(uint32_t a, uint32_t b)
{
    const uint32_t most = MAGNITUDE(a) > MAGNITUDE(b) ? MAGNITUDE(a) : MAGNITUDE(b);
    return most | ((a | b) & SIGN_BIT);
}

/* Whether the numbers of a block have codes; else all of them are 0, or NaN. */
static inline int block_is_plain(uint32_t extent)
{
    return NORMAL <= MAGNITUDE(extent) && MAGNITUDE(extent) < INFINITE;
}

/* The scale of a block, without the sign that says how it is coded. */
static inline float block_scale(uint32_t extent)
{
    const uint32_t most = MAGNITUDE(extent);
    return of_bits(block_is_plain(extent) ? most : most < NORMAL ? 0 : QUIET);
}

#define UNIT(noise) ((float)((noise) >> 8) * 0x1p-24f) /* in [0, 1) */

static inline uint8_t block_code(float x, float inverse, uint32_t noise)
{
    const float q = sqrtf(sqrtf(x * inverse)) * 255;
    const int32_t near = (int32_t)(q + UNIT(noise));
    const int32_t least = x > 0 ? 1 : 0;
    const int32_t kept = near < least ? least : near;
    return (uint8_t)(kept > 255 ? 255 : kept);
}

static inline uint8_t block_signed_code(float x, float inverse, uint32_t noise)
{
    const float q = sqrtf(fabsf(x) * inverse) * 127;
    const int32_t near = (int32_t)(q + UNIT(noise));
    const int32_t size = near > 127 ? 127 : near;
    return (uint8_t)(128 + (x < 0 ? -size : size));
}

#undef UNIT

#endif
