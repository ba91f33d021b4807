/* host_math.h: functions of scalars for prepare() and for schedules. Only IEEE double
 * operations in a fixed order, so that every machine finds the same double; libm's exp,
 * log and pow differ from one to the next in the last place, while fma() is IEEE's. */
#ifndef GRADSTEP_HOST_MATH_H
#define GRADSTEP_HOST_MATH_H

#if defined __FAST_MATH__ || __FLT_EVAL_METHOD__ != 0
#error "-ffast-math and x87 arithmetic give other bits; take them out of CFLAGS"
#endif

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define RULE_HOST static inline

/* b^n by binary powering: only double products. */
RULE_HOST double powi(double b, double n)
{
    double r = 1.0;
    for (uint64_t k = (uint64_t)n; k; k >>= 1) {
        if (k & 1)
            r = r * b;
        b = b * b;
    }
    return r;
}

/* 2^n for n from -1022 to 1023. */
RULE_HOST double two_to(int64_t n)
{
    const union {
        uint64_t bits;
        double value;
    } x = {.bits = (uint64_t)(n + 1023) << 52};
    return x.value;
}

#define LN2_HIGH 0x1.62e42fee00000p-1 /* 33 bits: exact when times an exponent */
#define LN2_LOW 0x1.a39ef35793c76p-33

/* e^x: x = k ln 2 + r, and e^r by its series, |r| < 0.35. Relative error some 3e-16; 0
 * below -708, infinity above 709. */
RULE_HOST double exponential(double x)
{
    if (!(x > -708))
        return x != x ? x : 0;
    if (x > 709)
        return HUGE_VAL;
    const double k = floor(x / (LN2_HIGH + LN2_LOW) + 0.5);
    const double r = (x - k * LN2_HIGH) - k * LN2_LOW;
    double sum = 1;
    for (int i = 13; i > 0; i--)
        sum = 1 + r * sum / i;
    return sum * two_to((int64_t)k / 2) * two_to((int64_t)k - (int64_t)k / 2);
}

/* ln x for a normal x > 0: x = 2^k m, ln m = 2 atanh((m - 1)/(m + 1)) by its series. */
RULE_HOST double logarithm(double x)
{
    union {
        double value;
        uint64_t bits;
    } m = {.value = x};
    double k = (double)(int64_t)(m.bits >> 52) - 1023;
    m.bits = (m.bits & 0xfffffffffffff) | 0x3ff0000000000000;
    if (m.value > 1.4142135623730951) {
        m.value = m.value / 2;
        k = k + 1;
    }
    const double f = (m.value - 1) / (m.value + 1), s = f * f;
    double sum = 0;
    for (int i = 25; i > 1; i -= 2)
        sum = (sum + 1.0 / i) * s;
    return k * LN2_HIGH + (2 * f + (2 * f * sum + k * LN2_LOW));
}

#undef LN2_HIGH
#undef LN2_LOW

/* b^x for b >= 0, by products if x is a small whole number; else a subnormal b is 0. */
RULE_HOST double power(double b, double x)
{
    if (x >= 0 && x <= 64 && x == floor(x))
        return powi(b, x);
    if (b < 0x1p-1022)
        return x < 0 ? HUGE_VAL : 0;
    return exponential(x * logarithm(b));
}

/* b^n for a whole n >= 0: binary powering of a sum of two doubles, since powi's error
 * grows with n. Its relative error is some n 2^-106, so but for about one in 2^50 / n the
 * result is correctly rounded, where neither it nor b^n / b is below 2^-969. */
RULE_HOST double whole_power(double b, double n)
{
    double high = 1, low = 0, b_high = b, b_low = 0;
    for (uint64_t k = (uint64_t)n; k; k >>= 1) {
        if (k & 1) {
            const double product = high * b_high;
            low = fma(high, b_high, -product) + (high * b_low + low * b_high);
            high = product + low;
            low = low - (high - product);
        }
        const double square = b_high * b_high;
        b_low = fma(b_high, b_high, -square) + 2 * b_high * b_low;
        b_high = square + b_low;
        b_low = b_low - (b_high - square);
        if (!(b_high - b_high ==
              0)) { /* past the range, and so is what it multiplies */
            b_high = HUGE_VAL;
            b_low = 0;
        }
        if (!(high - high == 0))
            return HUGE_VAL;
    }
    return high;
}

#define PI 0x1.921fb54442d18p+1

/* The sine (odd) or cosine of y by its series, |y| <= pi / 4. */
RULE_HOST double sine_series(double y, bool odd)
{
    double sum = 1;
    for (int i = 18 + odd; i > 1; i -= 2)
        sum = 1 - y * y * sum / (i * (i - 1));
    return odd ? y * sum : sum;
}

/* cos(pi x), within 2.5 units of the last place; exact where x is a multiple of 1/2. */
RULE_HOST double cospi(double x)
{
    double r = fmod(fabs(x), 2);
    r = r > 1 ? 2 - r : r;
    const double sign = r > 0.5 ? -1 : 1;
    r = r > 0.5 ? 1 - r : r; /* all exact */
    return sign *
           (r > 0.25 ? sine_series(PI * (0.5 - r), true) : sine_series(PI * r, false));
}

/* sin(pi x) for x in [0, 1/2], likewise. */
RULE_HOST double sinpi(double x)
{
    return x > 0.25 ? sine_series(PI * (0.5 - x), false) : sine_series(PI * x, true);
}

#undef PI

/* The root of a sum of squares; NaN if that left the range, so that no step is taken as
 * if a tensor were infinitely long. */
RULE_HOST double length(double squares)
{
    return squares - squares == 0 ? sqrt(squares) : NAN;
}

/* A power of 2 near the root of x, for a normal x > 0; 1 for others. A coefficient
 * that may leave the range of float is split by it into two that do not. */
RULE_HOST double half_of(double x)
{
    const union {
        double value;
        uint64_t bits;
    } y = {.value = x};
    return x >= 0x1p-1022 && x - x == 0 ? two_to(((int64_t)(y.bits >> 52) - 1023) / 2)
                                        : 1;
}

/* RAdam's length of the approximated average, and the factor that rectifies a step
 * by its variance (Liu et al., arXiv:1908.03265). 0 below the threshold, where the
 * variance is not tractable. */
RULE_HOST double rectification(double beta2, double t, double threshold, bool inclusive)
{
    /* A difference of what may be hundreds of times as large, so b to the last place. */
    const double b = whole_power(beta2, t), most = 2 / (1 - beta2) - 1;
    const double rho = most - 2 * t * b / (1 - b);
    if (!(inclusive ? rho >= threshold : rho > threshold) || !(rho > 4))
        return 0;
    return sqrt(((rho - 4) * (rho - 2) * most) / ((most - 4) * (most - 2) * rho));
}

/* The weight of the newest iterate in schedule-free averages (Defazio et al.,
 * arXiv:2405.15682, as their code has it): w = t^r lr_max^p, c = w / (sum of all w). */
RULE_HOST double averaging(double *weight_sum, double *lr_max, double lr, double t,
                           double r, double p)
{
    if (t == 1)
        *weight_sum = *lr_max = 0;
    *lr_max = lr > *lr_max ? lr : *lr_max;
    const double weight = power(t, r) * power(*lr_max, p);
    *weight_sum = *weight_sum + weight;
    return *weight_sum > 0 ? weight / *weight_sum : 0;
}

#endif
