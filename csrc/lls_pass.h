/* lls_pass.h: the fused row pass in one arithmetic type; included by lls.c with T.
 *
 * Sums are float64 in an order that does not depend on the width of the machine's
 * vectors: fewer than 16 products one after the other; else product j in lane j mod 16,
 * and the lanes by a fixed tree. */

RULE_FN double NAME(dot_narrow)(const T *restrict x, const T *restrict w, size_t L)
{
    double sum = 0;
    for (size_t j = 0; j < L; j++)
        sum += (double)x[j] * (double)w[j];
    return sum;
}

static double NAME(dot)(const T *restrict x, const T *restrict w, size_t L)
{
    if (L < GS_LANES)
        return NAME(dot_narrow)(x, w, L);
    double lane[GS_LANES] = {0};
    const size_t whole = L - L % GS_LANES;
    for (size_t j = 0; j < whole; j += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += (double)x[j + k] * (double)w[j + k];
    for (size_t j = whole; j < L; j++)
        lane[j - whole] += (double)x[j] * (double)w[j];
    return gs_tree(lane);
}

RULE_FN void NAME(add_scaled)(double *restrict sum, double r, const T *restrict x,
                              size_t L)
{
    for (size_t j = 0; j < L; j++)
        sum[j] += r * (double)x[j];
}

/* g = scale * sum, and sum is ready for the next batch. */
static void NAME(finish)(T *restrict g, double *restrict sum, double scale, size_t size)
{
    for (size_t j = 0; j < size; j++) {
        g[j] = (T)(scale * sum[j]);
        sum[j] = 0;
    }
}

/* The residual of a row and its part of the gradient, while the row is in L1. */
static void NAME(row)(const gs_lls *p, size_t i)
{
    const T *x = (const T *)p->X + i * p->L;
    const T *y = (const T *)p->y + i * p->K;
    for (size_t k = 0; k < p->K; k++) {
        const double r = NAME(dot)(x, (const T *)p->w + k * p->L, p->L) - (double)y[k];
        NAME(add_scaled)(p->sum + k * p->L, r, x, p->L);
    }
}

/* The rows of a batch where L is a constant: sums stay in registers. */
RULE_FN void NAME(narrow)(const gs_lls *p, const int64_t *rows, size_t n,
                          const size_t L)
{
    for (size_t k = 0; k < p->K; k++) {
        double sum[NARROW] = {0};
        const T *w = (const T *)p->w + k * L;
        for (size_t i = 0; i < n; i++) {
            const T *x = (const T *)p->X + (size_t)rows[i] * L;
            const T *y = (const T *)p->y + (size_t)rows[i] * p->K;
            const double r = NAME(dot_narrow)(x, w, L) - (double)y[k];
            NAME(add_scaled)(sum, r, x, L);
        }
        for (size_t j = 0; j < L; j++)
            p->sum[k * L + j] = sum[j];
    }
}

/* Row i is wanted soon. Rows in no order are no stream that the CPU would foresee. */
RULE_FN void NAME(fetch)(const gs_lls *p, size_t i)
{
    const char *x = (const char *)((const T *)p->X + i * p->L);
    for (size_t at = 0; at < p->L * sizeof(T); at += GS_LINE)
        __builtin_prefetch(x + at);
    __builtin_prefetch((const T *)p->y + i * p->K);
}

/* The sum over the rows of a batch, of which more may follow; each is read once, K times
 * from L1. */
static void NAME(rows)(const gs_lls *p, const int64_t *rows, size_t n, size_t follow)
{
    switch (p->L) {
    case 1:
        NAME(narrow)(p, rows, n, 1);
        return;
    case 2:
        NAME(narrow)(p, rows, n, 2);
        return;
    case 3:
        NAME(narrow)(p, rows, n, 3);
        return;
    case 4:
        NAME(narrow)(p, rows, n, 4);
        return;
    default:
        for (size_t i = 0; i < n; i++) {
            if (i + AHEAD < follow)
                NAME(fetch)(p, (size_t)rows[i + AHEAD]);
            NAME(row)(p, (size_t)rows[i]);
        }
    }
}

static bool NAME(finite)(const T *w, size_t size)
{
    bool all = true;
    for (size_t j = 0; j < size; j++)
        all &= w[j] - w[j] == 0;
    return all;
}

bool NAME(gs_lls_run)(const gs_lls *p, const int64_t *rows, size_t count, size_t batch)
{
    assert(batch > 0);
    const gs_fpenv before = gs_fpenv_enter();
    for (size_t at = 0; at < count; at += batch) {
        const size_t size = count - at < batch ? count - at : batch;
        NAME(rows)(p, rows + at, size, count - at);
        NAME(finish)(p->g, p->sum, p->mean ? 2.0 / (double)size : 2.0, p->L * p->K);
        p->step(p->with);
    }
    const bool finite = NAME(finite)(p->w, p->L * p->K);
    gs_fpenv_leave(before);
    return finite;
}
