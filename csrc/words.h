/* words.h: the words of scalar.h that depend on the type of their argument, in C++, which
 * has no _Generic: overloads in its place. */
#ifndef GRADSTEP_WORDS_H
#define GRADSTEP_WORDS_H

RULE_FN float gs_sqrt(float x)
{
    return sqrtf(x);
}
RULE_FN double gs_sqrt(double x)
{
    return sqrt(x);
}
RULE_FN float gs_abs(float x)
{
    return fabsf(x);
}
RULE_FN double gs_abs(double x)
{
    return fabs(x);
}
RULE_FN float gs_smallest(float x)
{
    (void)x;
    return FLT_MIN;
}
RULE_FN double gs_smallest(double x)
{
    (void)x;
    return DBL_MIN;
}
RULE_FN float gs_cube_root(float x)
{
    const float z = gs_cbrt_scaled_f(x);
    return gs_cbrt_back_f(gs_cbrt_root_f(gs_cbrt_near_f(z), z), x);
}
RULE_FN double gs_cube_root(double x)
{
    return gs_cbrt(x);
}

#define SQRT(x) gs_sqrt(x)
#define ABS(x) gs_abs(x)
#define SMALLEST(x) gs_smallest(x)
#define CBRT(x) gs_cube_root(x)

#endif
