/* reduce.h: sums over tensors, the same bits for every CPU level and number of
 * threads. */
#ifndef GRADSTEP_REDUCE_H
#define GRADSTEP_REDUCE_H

#include "kernel.h"

/* How many blocks n elements make; each has room for sums in segment.partial. */
static inline size_t gs_blocks(size_t n)
{
    return n / GS_BLOCK + (n % GS_BLOCK != 0);
}

/* The sums of one segment, from those of its blocks, which are overwritten. */
void gs_reduce(const gs_segment *segment, double *sum);

#endif
