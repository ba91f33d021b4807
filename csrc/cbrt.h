/* cbrt.h: the cube root, the same bits everywhere. libm's differ from one to the
 * next.
 *
 * A seed by dividing the exponent, within 4 %, then Halley's iteration, which
 * triples the correct digits. The float root takes its last iteration in double: it
 * is correctly rounded, as trying every float has shown (tests/test_cbrt.py tries
 * every significand). The double root is a pinned sequence, wrong by less than one
 * unit of the last place. Products alone, towards 1/cbrt(x), are slower for float
 * and as long to read. */
#ifndef GRADSTEP_CBRT_H
#define GRADSTEP_CBRT_H

#include <math.h>
#include <stdint.h>

#define GS_INLINE static inline __attribute__((always_inline))

/* Written as a correction of y, which loses least, by a ratio, which cannot
 * overflow. */
#define GS_CUBE(y) ((y) * (y) * (y))
#define GS_HALLEY(y, x) ((y) - (y) * ((GS_CUBE(y) - (x)) / (2 * GS_CUBE(y) + (x))))

GS_INLINE float gs_cbrtf(float x)
{
    /* By a power of 8 to where it and its cube are normal. */
    const int32_t below_1 = fabsf(x) < 1;
    const float z = x * (below_1 ? 0x1p24f : 0x1p-24f);
    union {
        float value;
        int32_t bits;
    } y = {.value = z};
    const int32_t sign = y.bits & INT32_MIN;
    const float exponent = (float)(y.bits & INT32_MAX); /* and significand */
    y.bits = ((int32_t)(exponent * 0x1.555556p-2f) + 0x2a510680) | sign;
    const float near = GS_HALLEY(y.value, z);
    const double root = GS_HALLEY((double)near, (double)z);
    const float back = below_1 ? 0x1p-8f : 0x1p8f;
    return x - x != 0 || x == 0 ? x : (float)root * back;
}

GS_INLINE double gs_cbrt(double x)
{
    const int64_t below_1 = fabs(x) < 1;
    const double z = x * (below_1 ? 0x1p300 : 0x1p-300);
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
    const double back = below_1 ? 0x1p-100 : 0x1p100;
    return x - x != 0 || x == 0 ? x : root * back;
}

#undef GS_HALLEY
#undef GS_CUBE
#undef GS_INLINE

#endif
