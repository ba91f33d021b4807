/* run.h: carries out the segments of many tensors in one parallel region. */
#ifndef GRADSTEP_RUN_H
#define GRADSTEP_RUN_H

#include <stdbool.h>

#include "kernel.h"

void gs_run(const gs_segment *segment, size_t count);

/* The pass before it, of kernels with sums: fills segment.partial. */
void gs_run_gather(const gs_segment *segment, size_t count);

/* Writes zeros with all threads, which also brings the pages in. */
void gs_zero(void *at, size_t bytes);

/* Does task(with, k) for each k below n, shared out among the threads. */
void gs_run_each(void (*task)(void *with, size_t k), void *with, size_t n);

/* How many threads large work is spread over. A forked child has 1 and keeps it (see
 * run.c): false if it was asked for more. */
bool gs_set_threads(int threads);
int gs_threads(void);

#endif
