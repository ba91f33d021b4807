/* reduce.c: from the sums of blocks to that of a tensor, by a fixed tree:
 * neighbours, then neighbours of those. */
#include "reduce.h"

_Static_assert(GS_LANES == 16, "gs_tree of scalar.h adds 16 lanes");

void gs_reduce(const gs_segment *segment, double *sum)
{
    const size_t blocks = gs_blocks(segment->n), sums = segment->kernel->sums;
    double *x = segment->partial;
    for (size_t apart = sums; apart < blocks * sums; apart *= 2)
        for (size_t i = 0; i + apart < blocks * sums; i += 2 * apart)
            for (size_t k = 0; k < sums; k++)
                x[i + k] += x[i + apart + k];
    for (size_t k = 0; k < sums; k++)
        sum[k] = blocks ? x[k] : 0;
}
