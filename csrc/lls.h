/* lls.h: linear least squares by batches of rows, min sum_i s_i |x_i W + b - y_i|^2 +
 * ridge |W|^2. What depends on the CPU level, and the struct that all share. */
#ifndef GRADSTEP_LLS_H
#define GRADSTEP_LLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

enum {
    /* The sums of a batch are those of its pieces of so many rows, added in their order:
     * threads take pieces, and the bits do not depend on how many threads there are. */
    GS_PIECE = 128,
    GS_LLS_PACKED = 2 + GS_MAX_STATE, /* arrays of touched columns: w, g, states */
};

/* Where rows are read from. All matrices are row-major. */
typedef struct gs_lls_data {
    int form;
    const void *X;        /* N x L; of CSR, the values */
    const void *column;   /* of CSR, the column of each value, and ... */
    const void *start;    /* ... the first value of each row, N + 1 of them */
    const void *y;        /* N x K, or NULL if all are 0 */
    const double *weight; /* N, or NULL if all are 1 */
    bool wide_targets;    /* y is float64 whatever X is: for systems only */
} gs_lls_data;

/* What rows meet, W and its gradient are K x L: one contiguous row for every column of
 * Y. If features are scaled, w belongs to (x - mean) inverse, and u = w inverse and
 * c = b - mean u to x, which stays as it is. */
typedef struct gs_lls_model {
    size_t L, K;
    void *w, *b; /* K x L and K; b may be NULL */
    void *g, *gb;
    const double *mean, *inverse; /* L each, or NULL: 0 and 1 */
    void *u;                      /* K x L; w itself if inverse is NULL */
    double *wide;                 /* u in float64, which dense rows meet; may be u */
    double *c;                    /* K */
    double ridge;                 /* the penalty, for each row */
    bool divide;                  /* gradients by the rows of a batch */
    double *total; /* K L and K: coefficients of all updates since, or NULL */
} gs_lls_model;

/* All rows at once, in float64: residuals
 *     r = ((constant - unit y) + (x - centre) base) + (x - centre) step + step_constant
 * and from them the sums of gs_lls_sums. What `base` leaves over comes first, and has the
 * same bits in every pass: so the errors of small steps are small. */
typedef struct gs_lls_system {
    size_t L, K;
    size_t targets;       /* columns of y; for the others of the K it is 0 */
    const double *centre; /* L; of dense rows only, see lls_system.h */
    const double *base;   /* K x L, or NULL if it is 0 */
    const double *step;   /* K x L */
    const double *constant, *unit, *step_constant; /* K each */
} gs_lls_system;

/* The columns that a batch has touched, where an update leaves the others alone. Sums
 * are theirs then: that of column[i] stands in the place of column i. */
typedef struct gs_lls_touched {
    uint32_t *place; /* L; i + 1 of each, 0 of the others. NULL if all are updated */
    int64_t *column;
    size_t count;
    void *packed[GS_LLS_PACKED]; /* room for the arrays of the touched columns */
} gs_lls_touched;

/* Their numbers: `column` of the above, or of the only row of a batch. */
typedef struct gs_lls_columns {
    int form; /* of which the indices are */
    const void *column;
    size_t count;
} gs_lls_columns;

/* Sums of rows: K L of the gradient without its factors, K of weighted residuals, K of
 * their weighted squares. */
static inline size_t gs_lls_sums(const gs_lls_model *m)
{
    return m->K * (m->L + 2);
}

/* The rows to visit, and with each of the first `foreseen` another to fetch then. */
typedef struct gs_lls_route {
    const int64_t *rows;
    size_t count;
    const int64_t *soon;
    size_t foreseen;
} gs_lls_route;

static inline gs_lls_route gs_lls_after(gs_lls_route r, size_t n)
{
    const size_t gone = n < r.foreseen ? n : r.foreseen;
    return (gs_lls_route){r.rows + n, r.count - n, r.soon + gone, r.foreseen - gone};
}

/* Adds what the first `n` rows of a route give. */
typedef void gs_lls_rows_fn(const gs_lls_data *d, const gs_lls_model *m,
                            gs_lls_touched *touched, gs_lls_route route, size_t n,
                            double *sums);

/* Moves on `moments`: the sum of weights, L means and L sums of weighted squares about
 * them, row by row, so that rows may come in any portions. Of sparse rows: about `about`,
 * L sums of weighted values, of squares, and of the weights of what is stored. */
typedef void gs_lls_moments_fn(const gs_lls_data *d, size_t L, const int64_t *rows,
                               size_t n, const double *about, double *moments);

/* Adds what the first `n` rows of a route give to the sums of a system. */
typedef void gs_lls_system_fn(const gs_lls_data *d, const gs_lls_system *s,
                              gs_lls_route route, size_t n, double *sums);

/* Adds to the sum of weights, L weighted sums of x - about and L largest absolute values
 * of it; rows of weight 0 count for nothing. `about` is taken from what is stored only. */
typedef void gs_lls_extents_fn(const gs_lls_data *d, size_t L, const int64_t *rows,
                               size_t n, const double *about, double *extents);

/* Adds to L weighted sums of ((x - centre) unit)^2; of sparse rows those of what is
 * stored, and L sums of their weights. */
typedef void gs_lls_spreads_fn(const gs_lls_data *d, size_t L, const int64_t *rows,
                               size_t n, const double *centre, const double *unit,
                               double *spreads);

/* A batch of one sparse row, the first of a route: packed w and g, and gb. */
typedef void gs_lls_alone_fn(const gs_lls_data *d, const gs_lls_model *m,
                             gs_lls_touched *t, gs_lls_route route,
                             gs_lls_columns *columns, double *squares);

/* How X is stored. */
enum { GS_DENSE, GS_CSR32, GS_CSR64, GS_FORMS };

/* For one arithmetic type and CPU level. */
typedef struct gs_lls_ops {
    gs_lls_rows_fn *rows[GS_FORMS];
    gs_lls_moments_fn *moments[GS_FORMS];
    gs_lls_system_fn *system[GS_FORMS];
    gs_lls_extents_fn *extents[GS_FORMS];
    gs_lls_spreads_fn *spreads[GS_FORMS];
    /* u and c, from w and b; `wide` too, for dense rows */
    void (*meet)(const gs_lls_model *m, bool dense);
    /* g and gb of a batch of n rows, from its sums, which are zero afterwards. With
     * `touched`, packed g and w instead of g. */
    void (*finish)(const gs_lls_model *m, gs_lls_touched *touched, size_t n,
                   double *sums);
    /* Columns of an array like w to or from a packed one. */
    void (*pack[GS_FORMS])(const gs_lls_model *m, gs_lls_columns c, const void *array,
                           void *packed);
    void (*unpack[GS_FORMS])(const gs_lls_model *m, gs_lls_columns c,
                             const void *packed, void *array);
    gs_lls_alone_fn *alone[GS_FORMS];
    void (*accumulate)(const gs_lls_model *m);     /* adds w and b to `total` */
    bool (*finite)(const gs_lls_model *m);         /* are all of w and b? */
    double (*squared_norm)(const gs_lls_model *m); /* |u|^2, which the penalty weighs */
} gs_lls_ops;

/* Whether all rows are in [0, N); the loops rely on it. */
static inline bool gs_lls_rows_fit(const int64_t *rows, size_t count, size_t N)
{
    uint64_t most = 0; /* where what is negative is large */
    for (size_t i = 0; i < count; i++)
        most = (uint64_t)rows[i] > most ? (uint64_t)rows[i] : most;
    return count == 0 || most < N;
}

#endif
