/* lls_pass.h: the sums of rows of a dense matrix in one arithmetic type; included by
 * lls.c with T.
 *
 * Sums are float64 in an order that does not depend on the width of the machine's
 * vectors: product j in lane j mod 16 and the lanes by a fixed tree, then what is left
 * of 16, one after the other; up to 15 columns, see dot_narrow. Rows add to the gradient
 * in their order, also where several are read together. */

/* Of what is wanted soon, the lines of 16 numbers: beside the work on 16 others, as
 * fetches of whole rows at once wait for one another. */
RULE_FN void NAME(fetch_lanes)(const T *x, const int where)
{
    prefetch(x, where);
    if (sizeof(T) > 4)
        prefetch(x + GS_LANES / 2, where);
}

/* Of 16 products and more, while the row `soon` is fetched into L2. Lanes begin with the
 * first products: to clear them, GCC takes `rep stos`, and that as long as the rest. */
RULE_LOOP double NAME(dot)(const T *restrict x, const double *restrict u, size_t L,
                           const T *soon)
{
    double lane[GS_LANES], rest = 0;
    const size_t whole = L - L % GS_LANES;
    for (size_t k = 0; k < GS_LANES; k++)
        lane[k] = (double)x[k] * u[k];
    NAME(fetch_lanes)(soon, TO_L2);
    prefetch(soon + L - 1, TO_L2);
    for (size_t j = GS_LANES; j < whole; j += GS_LANES) {
        NAME(fetch_lanes)(soon + j, TO_L2);
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += (double)x[j + k] * u[j + k];
    }
    for (size_t j = whole; j < L; j++)
        rest += (double)x[j] * u[j];
    return gs_tree(lane) + rest;
}

RULE_FN double NAME(add_column)(double sum, const double *pull, const T *const *x,
                                size_t j, const size_t n)
{
    for (size_t r = 0; r < n; r++)
        sum += pull[r] * (double)x[r][j];
    return sum;
}

/* g += pull x of n rows, n a constant: one load and one store of g for all. Others are
 * fetched into L1. */
RULE_FN void NAME(add_rows)(double *restrict g, const double *pull, const T *const *x,
                            const T *const *next, size_t L, const size_t n)
{
    const size_t whole = L - L % GS_LANES;
    for (size_t j = 0; j < whole; j += GS_LANES) {
        for (size_t r = 0; r < n; r++)
            NAME(fetch_lanes)(next[r] + j, TO_L1);
        for (size_t k = j; k < j + GS_LANES; k++)
            g[k] = NAME(add_column)(g[k], pull, x, k, n);
    }
    for (size_t r = 0; r < n && L; r++)
        prefetch(next[r] + L - 1, TO_L1);
    for (size_t j = whole; j < L; j++)
        g[j] = NAME(add_column)(g[j], pull, x, j, n);
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

/* Row i is wanted soon. Rows in no order are no stream that the CPU would foresee. */
RULE_FN void NAME(fetch)(const gs_lls_data *d, size_t L, size_t i, const int where)
{
    const char *x = (const char *)((const T *)d->X + i * L);
    for (size_t at = 0; at < L * sizeof(T); at += GS_LINE)
        prefetch(x + at, where);
}

RULE_FN void NAME(fetch_target)(const gs_lls_data *d, const gs_lls_model *m, size_t i)
{
    if (d->y)
        prefetch((const T *)d->y + i * m->K, TO_L2);
}

/* The rows to fetch beside the n from place i of a route on: what comes soon into L2, as
 * fetches into L1 wait for one another in its few buffers for misses; and from there
 * into L1. Where there is none, the row itself. */
RULE_FN void NAME(foresee)(const gs_lls_data *d, const gs_lls_model *m,
                           const gs_lls_route *route, size_t i, const T **soon,
                           const T **next, const size_t n)
{
    for (size_t r = 0; r < n; r++, i++) {
        size_t far = (size_t)route->rows[i], near = far;
        if (i < route->foreseen) {
            far = (size_t)route->soon[i];
            NAME(fetch_target)(d, m, far);
        }
        if (i + NEAR < route->count)
            near = (size_t)route->rows[i + NEAR];
        soon[r] = (const T *)d->X + far * m->L;
        next[r] = (const T *)d->X + near * m->L;
    }
}

/* Residuals of n rows and their parts of the gradient, while the rows are in L1. */
RULE_FN void NAME(together)(const gs_lls_data *d, const gs_lls_model *m,
                            const T *const *x, const T *const *soon,
                            const T *const *next, const int64_t *rows, double *sums,
                            const size_t n)
{
    const size_t L = m->L;
    double *all_pulls = sums + m->K * L, *all_squares = all_pulls + m->K;
    for (size_t k = 0; k < m->K; k++) {
        double pull[TOGETHER], pulls = all_pulls[k], squares = all_squares[k];
        const double *u = m->wide + k * L;
        for (size_t r = 0; r < n; r++) {
            const double dot = L ? NAME(dot)(x[r], u, L, soon[r]) : 0;
            pull[r] = NAME(residual)(d, m, (size_t)rows[r], k, dot, &pulls, &squares);
        }
        all_pulls[k] = pulls;
        all_squares[k] = squares;
        NAME(add_rows)(sums + k * L, pull, x, next, L, n);
    }
}

static void NAME(wide)(const gs_lls_data *d, const gs_lls_model *m,
                       const gs_lls_route *route, size_t n, double *sums)
{
    const T *x[TOGETHER], *soon[TOGETHER], *next[TOGETHER];
    size_t i = 0;
    if (m->L * sizeof(T) <= IN_L1)
        for (; i + TOGETHER <= n; i += TOGETHER) {
            for (size_t r = 0; r < TOGETHER; r++)
                x[r] = (const T *)d->X + (size_t)route->rows[i + r] * m->L;
            NAME(foresee)(d, m, route, i, soon, next, TOGETHER);
            NAME(together)(d, m, x, soon, next, route->rows + i, sums, TOGETHER);
        }
    for (; i < n; i++) {
        x[0] = (const T *)d->X + (size_t)route->rows[i] * m->L;
        NAME(together)(d, m, x, x, x, route->rows + i, sums, 1);
    }
}

/* Two neighbours of a row, widened: GCC makes none of them by itself where L is a
 * constant, and takes wider ones apart for CPUs that lack them. */
typedef double NAME(pair) __attribute__((vector_size(2 * sizeof(double))));

RULE_FN NAME(pair) NAME(load_pair)(const T *x)
{
    return (NAME(pair)){(double)x[0], (double)x[1]};
}

/* Of less than 16 columns: pair q in lanes 2 q mod 4 and the next, lanes 0 and 2, 1 and 3
 * first; then the last of an odd number. */
RULE_FN double NAME(dot_narrow)(const NAME(pair) * x, const NAME(pair) * u, double last,
                                const size_t L)
{
    NAME(pair) even = {-0.0, -0.0}, odd = even; /* what changes no number */
    for (size_t q = 0; q < L / 2; q += 2)
        even += x[q] * u[q];
    for (size_t q = 1; q < L / 2; q += 2)
        odd += x[q] * u[q];
    even += odd;
    const double sum = even[0] + even[1];
    return L % 2 ? sum + last : sum;
}

/* What comes soon into L2, and from there into L1. */
RULE_FN void NAME(fetch_ahead)(const gs_lls_data *d, const gs_lls_model *m,
                               const gs_lls_route *route, size_t i)
{
    if (i < route->foreseen) {
        NAME(fetch)(d, m->L, (size_t)route->soon[i], TO_L2);
        NAME(fetch_target)(d, m, (size_t)route->soon[i]);
    }
    if (i + NEAR_NARROW < route->count)
        NAME(fetch)(d, m->L, (size_t)route->rows[i + NEAR_NARROW], TO_L1);
}

/* The rows where L is a constant: sums stay in registers. */
RULE_FN void NAME(narrow)(const gs_lls_data *d, const gs_lls_model *m,
                          const gs_lls_route *route, size_t n, double *sums,
                          const size_t L)
{
    enum { MOST = NARROW / 2 + 1 };
    double *all_pulls = sums + m->K * L, *all_squares = all_pulls + m->K;
    for (size_t k = 0; k < m->K; k++) {
        double pulls = all_pulls[k], squares = all_squares[k];
        const double *w = m->wide + k * L;
        double *g = sums + k * L, last = g[L - 1];
        NAME(pair) sum[MOST], u[MOST], x[MOST];
        for (size_t q = 0; q < L / 2; q++) {
            sum[q] = (NAME(pair)){g[2 * q], g[2 * q + 1]};
            u[q] = (NAME(pair)){w[2 * q], w[2 * q + 1]};
        }
        for (size_t i = 0; i < n; i++) {
            const size_t number = (size_t)route->rows[i];
            const T *row = (const T *)d->X + number * L;
            NAME(fetch_ahead)(d, m, route, i);
            for (size_t q = 0; q < L / 2; q++)
                x[q] = NAME(load_pair)(row + 2 * q);
            const double dot = NAME(dot_narrow)(x, u, (double)row[L - 1] * w[L - 1], L);
            const double pull = NAME(residual)(d, m, number, k, dot, &pulls, &squares);
            const NAME(pair) both = {pull, pull};
            for (size_t q = 0; q < L / 2; q++)
                sum[q] += both * x[q];
            last += pull * (double)row[L - 1];
        }
        for (size_t q = 0; q < L / 2; q++) {
            g[2 * q] = sum[q][0];
            g[2 * q + 1] = sum[q][1];
        }
        if (L % 2)
            g[L - 1] = last;
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
