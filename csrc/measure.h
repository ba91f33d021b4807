/* measure.h: the norm of scaled gradients, and the factor that clips them.
 *
 * Elements are summed as they are where that cannot overflow, and their scale multiplies
 * the sum. A sum of squares may leave the range of double though its root does not; its
 * elements are then multiplied by a unit, a power of 2, before they are squared. */
#ifndef GRADSTEP_MEASURE_H
#define GRADSTEP_MEASURE_H

#include <float.h>

#include "host_math.h"

#define FAR 0x1p-600  /* the unit of elements whose squares overflow, */
#define NEAR 0x1p+600 /* and of those whose squares underflow */
#define LOW 0x1p-900  /* sums below it may lack squares that underflowed */

/* A norm is size / unit: it may be above all doubles. */
typedef struct gs_norm {
    double size, unit;
} gs_norm;

/* factor * power, where power is 1, or FAR if the product would be below LOW. */
typedef struct gs_factor {
    double factor, power;
} gs_factor;

/* The unit by which to sum squares again; 1 if their sum is exact as it is. */
RULE_HOST double unit_of(double squares)
{
    return !(squares - squares == 0) ? FAR : squares < LOW ? NEAR : 1;
}

/* The scale of a gradient whose loss torch.amp has multiplied by *amp, if it has. */
RULE_HOST double scale_of(double scale, const float *amp)
{
    return amp ? scale * (1 / (double)*amp) : scale;
}

/* What an element is multiplied by, in its own type, before it is squared: its scale if
 * that is above 1, as in the step itself, where it may overflow; with a unit, nothing. */
RULE_HOST double scale_before(double scale, double unit)
{
    return unit != 1 || fabs(scale) <= 1 ? 1 : scale;
}

/* What it is multiplied by then, in double. */
RULE_HOST double scale_with(double scale, double unit)
{
    return unit != 1 && fabs(scale) > 1 ? unit * scale : unit;
}

/* And what of its scale is left for the sum. */
RULE_HOST double scale_after(double scale)
{
    return fabs(scale) <= 1 ? scale : 1;
}

/* Of all scales are `whole` times what is left for sums that are taken with a unit, lest
 * their squares underflow. most: the largest scale. */
RULE_HOST double whole_of(double most)
{
    return most > 0 && most < 1 ? most : 1;
}

/* Sums of the squares of all gradients: scaled; the same with NEAR as their unit, of use
 * where those are below LOW; and as they were summed. */
typedef struct gs_squares {
    double scaled, lifted, raw;
} gs_squares;

/* Adds those of one tensor, of which `rest` is what of its scale is left. */
RULE_HOST void add_squares(gs_squares *all, double sum, double rest)
{
    all->scaled = all->scaled + sum * (rest * rest);
    all->lifted = all->lifted + sum * (rest * NEAR) * (rest * NEAR);
    all->raw = all->raw + sum;
}

/* Whether squares underflowed in the sums of tensors, of which some are `wide`, of
 * double: those of float do not. */
RULE_HOST bool lack_squares(gs_squares all, bool wide)
{
    return wide && all.scaled < LOW && all.raw < LOW;
}

/* The norm by sums that lack no squares. */
RULE_HOST gs_norm norm_of(gs_squares all)
{
    const bool low = all.scaled < LOW;
    const gs_norm norm = {length(low ? all.lifted : all.scaled), low ? NEAR : 1};
    return norm;
}

/* The factor of gradients of this norm, at most 1; no clip_norm above 0: 1. */
RULE_HOST gs_factor clip_factor(double clip_norm, double clip_eps, gs_norm norm)
{
    const double divisor = norm.size + clip_eps * norm.unit;
    const double limit = clip_norm * norm.unit;
    const bool low = limit < LOW * divisor;
    const double factor = (low ? clip_norm * NEAR * norm.unit : limit) / divisor;
    const bool clips = clip_norm > 0 && (low || !(factor >= 1));
    const gs_factor clip = {clips ? factor : 1, clips && low ? FAR : 1};
    return clip;
}

/* The norm of gradients after they were multiplied by a factor. */
RULE_HOST gs_norm norm_after(gs_norm norm, gs_factor by)
{
    const gs_norm after = {norm.size * by.factor,
                           by.power == 1 ? norm.unit : norm.unit * NEAR};
    return after;
}

/* The product of a scale and a factor, both as factors. */
RULE_HOST gs_factor scale_by(gs_factor scale, gs_factor by)
{
    const bool small = fabs(scale.factor) < fabs(by.factor);
    const double least = small ? scale.factor : by.factor;
    const double other = small ? by.factor : scale.factor;
    const bool lifted = scale.power != 1 || by.power != 1;
    const bool low = !lifted && fabs(least * other) < LOW;
    const double rest = scale.power != 1 && by.power != 1 ? FAR : 1;
    const gs_factor both = {(low ? least * NEAR : least) * other * rest,
                            low || lifted ? FAR : 1};
    return both;
}

/* Whether a scale is a normal number of its gradient's arithmetic, double if `wide`, so
 * that it can multiply elements there. NaN can. */
RULE_HOST bool scale_fits(double scale, double power, bool wide)
{
    const double size = fabs(scale);
    return power == 1 && (wide || !(size < FLT_MIN || size > FLT_MAX));
}

/* An element times a scale that does not fit. */
RULE_HOST double scaled_exactly(double x, double scale, double power)
{
    return x * scale * power;
}

#endif
