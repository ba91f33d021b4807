/* staged.h: steps and sums of a segment whose storage is in code. */
#ifndef GRADSTEP_STAGED_H
#define GRADSTEP_STAGED_H

#include "kernel.h"

/* As kernel->step and kernel->gather, of elements [begin, end); begin is a multiple of
 * GS_BLOCK. */
void gs_staged_step(const gs_segment *s, size_t begin, size_t end);
void gs_staged_gather(const gs_segment *s, size_t begin, size_t end);

/* Before the first step: states that begin as the parameter does. */
void gs_staged_begin(const gs_segment *s);

#endif
