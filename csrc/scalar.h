/* scalar.h: what rules need of compilers, devices and storage types. update() sees
 * RULE_FN and SQRT, MAX, MIN, ABS, SIGN; prepare() sees RULE_HOST, sqrt, which
 * IEEE defines, and host_math.h; and nothing below them. */
#ifndef GRADSTEP_SCALAR_H
#define GRADSTEP_SCALAR_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "cbrt.h"
#include "host_math.h"

/* A debug build leaves inlining to the compiler: with always_inline at -Og, gdb shows
 * every argument of update() as <optimized out>. */
#ifdef NDEBUG
#define RULE_FN static inline __attribute__((always_inline))
#else
#define RULE_FN static inline
#endif
/* A loop is a function of its own: it has a name in a profile, and
 * .ci/check_build.py can read in the assembly whether it was vectorised. */
#define RULE_LOOP static __attribute__((noinline))

#ifdef __cplusplus
#include "words.h"
#else

/* NumPy hands out arrays at any byte address, so the loops may assume nothing. Both
 * x86-64 and AArch64 load unaligned vectors at full speed inside a cache line. */
typedef float gs_any_float __attribute__((aligned(1)));
typedef double gs_any_double __attribute__((aligned(1)));

/* Generic in the type of its argument: a rule written on T must never fall into the
 * double function, which would promote the whole expression. */
#define SQRT(x) _Generic((x), float: sqrtf, double: sqrt)(x)

static inline double gs_square(double x)
{
    return x * x;
}

/* The sum of GS_LANES lanes by a fixed tree. */
static inline double gs_tree(const double *lane)
{
    double eight[8], four[4]; /* not in place: the lanes may stay in registers */
    for (int k = 0; k < 8; k++)
        eight[k] = lane[k] + lane[k + 8];
    for (int k = 0; k < 4; k++)
        four[k] = eight[k] + eight[k + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* The stages of cbrt.h, for rule_root.h. */
#define CBRT_SCALED(x) _Generic((x), float: gs_cbrt_scaled_f, double: gs_cbrt_scaled)(x)
#define CBRT_NEAR(z) _Generic((z), float: gs_cbrt_near_f, double: gs_cbrt_near)(z)
#define CBRT_ROOT(y, z) _Generic((z), float: gs_cbrt_root_f, double: gs_cbrt_root)(y, z)
#define CBRT_BACK(r, x) _Generic((x), float: gs_cbrt_back_f, double: gs_cbrt_back)(r, x)

#define ABS(x) _Generic((x), float: fabsf, double: fabs)(x)
#define SMALLEST(x) _Generic((x), float: FLT_MIN, double: DBL_MIN)

#endif

/* The larger and the smaller of two, or NaN if either is: C's fmax and x86's maxps
 * both lose NaN in one of the argument positions. */
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))

#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))

/* x / d in update(), which has its coefficients in c, for d >= 0; see RULE_LEAST_DIVISOR in
 * rule_begin.h. In loops where d cannot be 0, nothing but the division is left. */
#define OVER(x, d) ((x) / DIVISOR(d, x))
#define DIVISOR(d, x) (c->guards && (x) == 0 && (d) == 0 ? 1 : (d))

/* States are kept with subnormal numbers as 0: where gradients stay 0, means decay to
 * such numbers, on which most CPUs take a hundred times as long. */
#define FLUSHED(x) (ABS(x) < SMALLEST(x) ? 0 : (x))

/* -1, 0 or +1, and NaN for NaN: a poisoned gradient must show in the parameter. */
#define SIGN(x) ((x) > 0 ? 1 : (x) < 0 ? -1 : (x) == 0 ? 0 : (x))

#endif
