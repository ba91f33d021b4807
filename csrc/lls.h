/* lls.h: mini-batch linear least squares, min_W |X W - Y|^2. */
#ifndef GRADSTEP_LLS_H
#define GRADSTEP_LLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All matrices row-major. W and its gradient are K x L: one contiguous row for every
 * column of Y, so that a row of X meets each of them in one stream. */
typedef struct gs_lls {
    const void *X; /* N x L */
    const void *y; /* N x K */
    size_t L, K;
    const void *w;
    void *g;
    double *sum; /* K x L, where the gradient of a batch is accumulated; all zero */
    int mean;    /* gradient of the mean over a batch, not of the sum */
    /* Applies g to w. A function of the caller's, so that this file knows no rule. */
    void (*step)(void *with);
    void *with;
} gs_lls;

/* Whether all rows are in [0, N); gs_lls_run relies on it. */
static inline bool gs_lls_rows_fit(const int64_t *rows, size_t count, size_t N)
{
    uint64_t most = 0; /* where what is negative is large */
    for (size_t i = 0; i < count; i++)
        most = (uint64_t)rows[i] > most ? (uint64_t)rows[i] : most;
    return count == 0 || most < N;
}

/* One update of w for every `batch` of the given rows; a short last batch counts.
 * Returns whether all of w is finite then. */
typedef bool gs_lls_run_fn(const gs_lls *p, const int64_t *rows, size_t count,
                           size_t batch);

#endif
