/* scalar.h: what rules need of compilers, devices and storage types.
 * Rules see RULE_FN, RULE_HOST, SQRT, MAX, ABS, SIGN, powi and, in prepare(), sqrt, which IEEE
 * defines; and nothing below them. */
#ifndef GRADSTEP_SCALAR_H
#define GRADSTEP_SCALAR_H

#if defined __FAST_MATH__ || __FLT_EVAL_METHOD__ != 0
#error "-ffast-math and x87 arithmetic give other bits; take them out of CFLAGS"
#endif

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* A debug build leaves inlining to the compiler: with always_inline at -Og, gdb shows
 * every argument of update() as <optimized out>. */
#ifdef NDEBUG
#define RULE_FN static inline __attribute__((always_inline))
#else
#define RULE_FN static inline
#endif
#define RULE_HOST static inline
/* A loop is a function of its own: it has a name in a profile, and .ci/check_build.py can
 * read in the assembly whether it was vectorised. */
#define RULE_LOOP static __attribute__((noinline))

/* NumPy hands out arrays at any byte address, so the loops may assume nothing. Both
 * x86-64 and AArch64 load unaligned vectors at full speed inside a cache line. */
typedef float gs_any_float __attribute__((aligned(1)));
typedef double gs_any_double __attribute__((aligned(1)));

/* Generic in the type of its argument: a rule written on T must never fall into the
 * double function, which would promote the whole expression. */
#define SQRT(x) _Generic((x), float: sqrtf, double: sqrt)(x)

/* The larger of two, or NaN if either is: C's fmax and x86's maxps both lose NaN in
 * one of the argument positions. */
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))

#define ABS(x) _Generic((x), float: fabsf, double: fabs)(x)

/* -1, 0 or +1, and NaN for NaN: a poisoned gradient must show in the parameter. */
#define SIGN(x) ((x) > 0 ? 1 : (x) < 0 ? -1 : (x) == 0 ? 0 : (x))

/* b^n by binary powering: only double products, so the same bits on every machine.
 * libm's pow is correctly rounded nowhere in particular. */
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

#endif
