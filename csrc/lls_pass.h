/* lls_pass.h: the sums of rows of a dense matrix in one arithmetic type; included by
 * lls.c with T.
 *
 * Sums are float64 in an order that does not depend on the width of the machine's
 * vectors: product j in lane j mod 16 and the lanes by a fixed tree, then what is left
 * of 16, one after the other. Rows add to the gradient in their order, also where
 * several are read together. */

RULE_FN double NAME(dot_narrow)(const T *restrict x, const double *restrict u, size_t L)
{
    double sum = 0;
    for (size_t j = 0; j < L; j++)
        sum += (double)x[j] * u[j];
    return sum;
}

RULE_LOOP double NAME(dot)(const T *restrict x, const double *restrict u, size_t L)
{
    double lane[GS_LANES] = {0};
    const size_t whole = L - L % GS_LANES;
    for (size_t j = 0; j < whole; j += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += (double)x[j + k] * u[j + k];
    const double rest = NAME(dot_narrow)(x + whole, u + whole, L - whole);
    return gs_tree(lane) + rest;
}

/* g += pull x of n rows, n a constant: one load and one store of g for all. */
RULE_FN void NAME(add_rows)(double *restrict g, const double *pull, const T *const *x,
                            size_t L, const size_t n)
{
    for (size_t j = 0; j < L; j++) {
        double sum = g[j];
        for (size_t r = 0; r < n; r++)
            sum += pull[r] * (double)x[r][j];
        g[j] = sum;
    }
}

/* What row i weighs times its residual, and the square; the caller adds them up. */
RULE_FN double NAME(residual)(const gs_lls_data *d, const gs_lls_model *m, size_t i,
                              size_t k, double dot, double *pulls, double *squares)
{
    const double y = d->y ? (double)((const T *)d->y)[i * m->K + k] : 0;
    const double r = dot + m->c[k] - y;
    const double pull = d->weight ? d->weight[i] * r : r;
    *pulls += pull;
    *squares += pull * r;
    return pull;
}

/* Residuals of n rows and their parts of the gradient, while the rows are in L1. */
RULE_FN void NAME(together)(const gs_lls_data *d, const gs_lls_model *m,
                            const int64_t *rows, double *sums, const size_t n)
{
    const size_t L = m->L;
    const T *x[TOGETHER];
    for (size_t r = 0; r < n; r++)
        x[r] = (const T *)d->X + (size_t)rows[r] * L;
    double *all_pulls = sums + m->K * L, *all_squares = all_pulls + m->K;
    for (size_t k = 0; k < m->K; k++) {
        double pull[TOGETHER], pulls = all_pulls[k], squares = all_squares[k];
        const double *u = m->wide + k * L;
        for (size_t r = 0; r < n; r++) {
            const double dot =
                L < GS_LANES ? NAME(dot_narrow)(x[r], u, L) : NAME(dot)(x[r], u, L);
            pull[r] = NAME(residual)(d, m, (size_t)rows[r], k, dot, &pulls, &squares);
        }
        all_pulls[k] = pulls;
        all_squares[k] = squares;
        NAME(add_rows)(sums + k * L, pull, x, L, n);
    }
}

/* Row i is wanted soon. Rows in no order are no stream that the CPU would foresee. */
RULE_FN void NAME(fetch)(const gs_lls_data *d, size_t L, size_t i, const int where)
{
    const char *x = (const char *)((const T *)d->X + i * L);
    for (size_t at = 0; at < L * sizeof(T); at += GS_LINE)
        __builtin_prefetch(x + at, 0, where);
}

/* What comes soon into L2, as fetches into L1 wait for one another in its few buffers
 * for misses; and from there into L1. */
RULE_FN void NAME(fetch_ahead)(const gs_lls_data *d, const gs_lls_model *m,
                               const gs_lls_route *r, size_t i, const size_t near)
{
    if (i < r->foreseen) {
        const size_t far = (size_t)r->soon[i];
        NAME(fetch)(d, m->L, far, TO_L2);
        if (d->y)
            __builtin_prefetch((const T *)d->y + far * m->K, 0, TO_L2);
    }
    if (i + near < r->count)
        NAME(fetch)(d, m->L, (size_t)r->rows[i + near], TO_L1);
}

static void NAME(wide)(const gs_lls_data *d, const gs_lls_model *m,
                       const gs_lls_route *route, size_t n, double *sums)
{
    size_t i = 0;
    if (m->L * sizeof(T) <= IN_L1)
        for (; i + TOGETHER <= n; i += TOGETHER) {
            for (size_t r = i; r < i + TOGETHER; r++)
                NAME(fetch_ahead)(d, m, route, r, NEAR);
            NAME(together)(d, m, route->rows + i, sums, TOGETHER);
        }
    for (; i < n; i++)
        NAME(together)(d, m, route->rows + i, sums, 1);
}

/* The rows where L is a constant: sums stay in registers. */
RULE_FN void NAME(narrow)(const gs_lls_data *d, const gs_lls_model *m,
                          const gs_lls_route *route, size_t n, double *sums,
                          const size_t L)
{
    double *all_pulls = sums + m->K * L, *all_squares = all_pulls + m->K;
    for (size_t k = 0; k < m->K; k++) {
        double sum[NARROW], pulls = all_pulls[k], squares = all_squares[k];
        const double *u = m->wide + k * L;
        for (size_t j = 0; j < L; j++)
            sum[j] = sums[k * L + j];
        for (size_t i = 0; i < n; i++) {
            const T *x = (const T *)d->X + (size_t)route->rows[i] * L;
            NAME(fetch_ahead)(d, m, route, i, NEAR_NARROW);
            const double dot = NAME(dot_narrow)(x, u, L);
            const double pull =
                NAME(residual)(d, m, (size_t)route->rows[i], k, dot, &pulls, &squares);
            for (size_t j = 0; j < L; j++)
                sum[j] += pull * (double)x[j];
        }
        for (size_t j = 0; j < L; j++)
            sums[k * L + j] = sum[j];
        all_pulls[k] = pulls;
        all_squares[k] = squares;
    }
}

/* Each row is read once, and K times from L1. */
static void NAME(dense)(const gs_lls_data *d, const gs_lls_model *m,
                        gs_lls_touched *touched, gs_lls_route route, size_t n,
                        double *sums)
{
    (void)touched;
    switch (m->L) {
#define CASE(l)                                                                        \
    case l:                                                                            \
        NAME(narrow)(d, m, &route, n, sums, l);                                        \
        return
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
        CASE(13);
        CASE(14);
        CASE(15);
#undef CASE
    default:
        NAME(wide)(d, m, &route, n, sums);
    }
}

/* West, "Updating mean and variance estimates: an improved method", 1979. */
static void NAME(moments)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                          const double *about, double *moments)
{
    (void)about;
    double *restrict mean = moments + 1, *restrict squares = moments + 1 + L;
    for (size_t i = 0; i < n; i++) {
        const T *x = (const T *)d->X + (size_t)rows[i] * L;
        const double s = d->weight ? d->weight[rows[i]] : 1;
        if (s == 0)
            continue;
        moments[0] += s;
        const double share = s / moments[0];
        for (size_t j = 0; j < L; j++) {
            const double apart = (double)x[j] - mean[j];
            mean[j] += share * apart;
            squares[j] += s * apart * ((double)x[j] - mean[j]);
        }
    }
}
