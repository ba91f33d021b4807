/* cbrt.h: the cube root, the same bits everywhere. libm's differ from one to the
 * next.
 *
 * A seed by dividing the exponent, within 4 %, then Halley's iteration, which
 * triples the correct digits. The float root takes its last iteration in double: it
 * is correctly rounded, as trying every float has shown (tests/test_cbrt.py tries
 * every significand). The double root is a pinned sequence, wrong by less than one
 * unit of the last place. Products alone, towards 1/cbrt(x), are slower for float
 * and as long to read.
 *
 * In stages, each a loop of its own (rule_root.h): as one chain of operations it takes
 * 1.6 times as long, since a CPU holds too few of such chains at once.
 *     z = scaled(x), y = near(z), r = root(y, z), back(r, x) */
#ifndef GRADSTEP_CBRT_H
#define GRADSTEP_CBRT_H

#include <math.h>
#include <stdint.h>

#define GS_INLINE static inline __attribute__((always_inline))

/* Written as a correction of y, which loses least, by a ratio, which cannot
 * overflow. */
#define GS_CUBE(y) ((y) * (y) * (y))
#define GS_HALLEY(y, x) ((y) - (y) * ((GS_CUBE(y) - (x)) / (2 * GS_CUBE(y) + (x))))

/* By a power of 8 to where x and its cube are normal. */
GS_INLINE float gs_cbrt_scaled_f(float x)
{
    const int32_t below_1 = fabsf(x) < 1;
    return x * (below_1 ? 0x1p24f : 0x1p-24f);
}

GS_INLINE float gs_cbrt_near_f(float z)
{
    union {
        float value;
        int32_t bits;
    } y = {.value = z};
    const int32_t sign = y.bits & INT32_MIN;
    const float exponent = (float)(y.bits & INT32_MAX); /* and significand */
    y.bits = ((int32_t)(exponent * 0x1.555556p-2f) + 0x2a510680) | sign;
    return GS_HALLEY(y.value, z);
}

GS_INLINE float gs_cbrt_root_f(float near, float z)
{
    return (float)GS_HALLEY((double)near, (double)z);
}

GS_INLINE float gs_cbrt_back_f(float root, float x)
{
    const int32_t below_1 = fabsf(x) < 1;
    const float back = below_1 ? 0x1p-8f : 0x1p8f;
    return x - x != 0 || x == 0 ? x : root * back;
}

GS_INLINE double gs_cbrt_scaled(double x)
{
    const int64_t below_1 = fabs(x) < 1;
    return x * (below_1 ? 0x1p300 : 0x1p-300);
}

GS_INLINE double gs_cbrt_near(double z)
{
    union {
        double value;
        uint64_t bits;
    } y = {.value = z};
    const uint64_t sign = y.bits & 0x8000000000000000u;
    /* The high word divided by 3, as a product: vectors cannot divide. */
    const uint64_t third = ((y.bits ^ sign) >> 32) * 0xaaaaaaabu >> 33;
    y.bits = sign | (third + 0x2a9f7893u) << 32;
    return GS_HALLEY(y.value, z);
}

GS_INLINE double gs_cbrt_root(double near, double z)
{
    const double nearer = GS_HALLEY(near, z);
    return GS_HALLEY(nearer, z);
}

GS_INLINE double gs_cbrt_back(double root, double x)
{
    const int64_t below_1 = fabs(x) < 1;
    const double back = below_1 ? 0x1p-100 : 0x1p100;
    return x - x != 0 || x == 0 ? x : root * back;
}

/* All of it, for prepare(). */
GS_INLINE double gs_cbrt(double x)
{
    const double z = gs_cbrt_scaled(x);
    return gs_cbrt_back(gs_cbrt_root(gs_cbrt_near(z), z), x);
}

#undef GS_HALLEY
#undef GS_CUBE
#undef GS_INLINE

#endif
