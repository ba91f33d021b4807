/* measure.h: the norm of scaled gradients, and what is made of it. Elements are summed as
 * they are where that cannot overflow, and their scale multiplies the sum. */
#ifndef GRADSTEP_MEASURE_H
#define GRADSTEP_MEASURE_H

#include "host_math.h"

#define FAR 0x1p-600 /* brings squares that leave the range of double back into it */

/* The scale of a gradient whose loss torch.amp has multiplied by *amp, if it has. */
RULE_HOST double scale_of(double scale, const float *amp)
{
    return amp ? scale * (1 / (double)*amp) : scale;
}

/* What an element is multiplied by before it is squared: `far`, or its scale if that is
 * above 1, as in the step itself, where it may overflow. */
RULE_HOST double scale_before(double scale, double far)
{
    return far != 1 || fabs(scale) <= 1 ? far : scale;
}

/* And what of its scale is left for the sum. */
RULE_HOST double scale_after(double scale, double far)
{
    return scale_before(scale, far) != far ? 1 : scale;
}

/* The factor of gradients of this norm, at most 1; no clip_norm above 0: 1. */
RULE_HOST double clip_factor(double clip_norm, double clip_eps, double norm)
{
    const double factor = clip_norm / (norm + clip_eps);
    return clip_norm > 0 && !(factor >= 1) ? factor : 1;
}

#endif
