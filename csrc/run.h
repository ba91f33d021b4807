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

/* Spreads large work over n threads from now on; `as_limit` also heeds what OpenMP allows
 * (OMP_NUM_THREADS, OMP_THREAD_LIMIT, omp_set_num_threads) where that is less. A forked
 * child has 1 and keeps it (see run.c): false if it was asked for more. */
bool gs_set_threads(int n, bool as_limit);

/* Threads that large work of the calling thread is spread over. */
int gs_threads(void);

/* Threads that OpenMP allows the calling thread. */
int gs_openmp_threads(void);

/* How many of n threads the process can have for work of the calling thread. */
int gs_startable_threads(int n);

/* Has `report` called, from any thread, when work cannot be spread over the threads that
 * were requested, and runs on fewer from then on. */
void gs_report_shortage(void (*report)(int requested, int available));

#endif
