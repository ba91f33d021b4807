/* lls.h: mini-batch linear least squares, min_W |X W - Y|^2. */
#ifndef GRADSTEP_LLS_H
#define GRADSTEP_LLS_H

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

/* One update of w for every `batch` of the given rows; a short last batch counts. */
typedef void gs_lls_run_fn(const gs_lls *p, const int64_t *rows, size_t count,
                           size_t batch);

#endif
