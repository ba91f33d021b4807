/* scaled.h: steps and sums of a segment whose gradient's scale does not fit the type of
 * its arithmetic; see scale_fits in measure.h. */
#ifndef GRADSTEP_SCALED_H
#define GRADSTEP_SCALED_H

#include "kernel.h"

void gs_scaled_step(const gs_segment *s, size_t begin, size_t end);
void gs_scaled_gather(const gs_segment *s, size_t begin, size_t end);

#endif
