/* cbrt.h: the cube root, the same bits everywhere. libm's differ from one to the
 * next.
 *
 * A seed by dividing the exponent, within 4 %, then Halley's iteration, which
 * triples the correct digits. The float root takes its last iteration in double, far
 * closer to the truth than 2^-49, the least distance of a cube root to where its
 * rounding changes: it is correctly rounded (tests/test_cbrt.py tries every
 * significand). The double root is a pinned sequence, wrong by less than one unit of
 * the last place. */
#ifndef GRADSTEP_CBRT_H
#define GRADSTEP_CBRT_H

#include <stdint.h>

#define GS_INLINE static inline __attribute__((always_inline))

/* Written as a correction of y, which loses least. */
#define GS_CUBE(y) ((y) * (y) * (y))
#define GS_HALLEY(y, x) ((y) - (y) * (GS_CUBE(y) - (x)) / (2 * GS_CUBE(y) + (x)))

/* Powers of 8 that bring x to where cubes neither overflow nor are subnormal. */
#define GS_SCALE(x, tiny, up, huge, down)                                              \
    ((x) < (tiny) && (x) > -(tiny) ? (up) : (x) > (huge) || (x) < -(huge) ? (down) : 1)

GS_INLINE float gs_cbrtf(float x)
{
    const float z = x * GS_SCALE(x, 0x1p-60f, 0x1p96f, 0x1p60f, 0x1p-96f);
    const double back = GS_SCALE(x, 0x1p-60f, 0x1p-32, 0x1p60f, 0x1p32);
    union {
        float value;
        uint32_t bits;
    } y = {.value = z};
    const uint32_t sign = y.bits & 0x80000000u;
    y.bits = sign | ((y.bits ^ sign) / 3 + 0x2a510680u);
    const float near = GS_HALLEY(y.value, z);
    const float nearer = GS_HALLEY(near, z);
    const double root = GS_HALLEY((double)nearer, (double)z);
    return x - x != 0 || x == 0 ? x : (float)(root * back);
}

GS_INLINE double gs_cbrt(double x)
{
    const double z = x * GS_SCALE(x, 0x1p-700, 0x1p600, 0x1p700, 0x1p-600);
    const double back = GS_SCALE(x, 0x1p-700, 0x1p-200, 0x1p700, 0x1p200);
    union {
        double value;
        uint64_t bits;
    } y = {.value = z};
    const uint64_t sign = y.bits & 0x8000000000000000u;
    /* The high word divided by 3, as a product: vectors cannot divide. */
    const uint64_t third = ((y.bits ^ sign) >> 32) * 0xaaaaaaabu >> 33;
    y.bits = sign | (third + 0x2a9f7893u) << 32;
    const double near = GS_HALLEY(y.value, z);
    const double nearer = GS_HALLEY(near, z);
    const double root = GS_HALLEY(nearer, z);
    return x - x != 0 || x == 0 ? x : root * back;
}

#undef GS_SCALE
#undef GS_HALLEY
#undef GS_CUBE
#undef GS_INLINE

#endif
