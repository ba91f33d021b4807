/* run.h: carries out the segments of many tensors in one parallel region. */
#ifndef GRADSTEP_RUN_H
#define GRADSTEP_RUN_H

#include "kernel.h"

void gs_run(const gs_segment *segment, size_t count);

/* Writes zeros; each thread touches first the pages that it will later update. */
void gs_zero(void *at, size_t bytes);

/* How many threads large work is spread over; 1 in a forked child (see run.c). */
void gs_set_threads(int threads);
int gs_threads(void);

#endif
