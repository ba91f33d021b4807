/* lls_csr.h: the sums of rows of a matrix in compressed sparse rows, for indices of type
 * INDEX; included by lls.c. Values of a row may stand in any order, and columns twice.
 * Its products are added as in lls_pass.h, value p of the row in the place of column p. */

RULE_FN double CSR(dot)(const T *restrict x, const INDEX *restrict column,
                        const T *restrict u, size_t n)
{
    double lane[GS_LANES] = {0}, rest = 0;
    const size_t whole = n - n % GS_LANES;
    for (size_t p = 0; p < whole; p += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += (double)x[p + k] * (double)u[column[p + k]];
    for (size_t p = whole; p < n; p++)
        rest += (double)x[p] * (double)u[column[p]];
    return n < GS_LANES ? rest : gs_tree(lane) + rest;
}

RULE_FN void CSR(touch)(gs_lls_touched *t, const INDEX *column, size_t n)
{
    size_t count = t->count;
    for (size_t p = 0; p < n; p++) {
        const size_t j = (size_t)column[p];
        t->column[count] = j; /* room for one more than L */
        count += !t->mark[j];
        t->mark[j] = 1;
    }
    t->count = count;
}

RULE_FN void CSR(fetch)(const gs_lls_data *d, size_t i)
{
    const INDEX *start = d->start;
    const char *x = (const char *)((const T *)d->X + start[i]);
    const char *x_end = (const char *)((const T *)d->X + start[i + 1]);
    for (; x < x_end; x += GS_LINE)
        __builtin_prefetch(x, 0, FAR);
    const char *c = (const char *)((const INDEX *)d->column + start[i]);
    const char *c_end = (const char *)((const INDEX *)d->column + start[i + 1]);
    for (; c < c_end; c += GS_LINE)
        __builtin_prefetch(c, 0, FAR);
}

static void CSR(rows)(const gs_lls_data *d, const gs_lls_model *m,
                      gs_lls_touched *touched, const int64_t *rows, size_t n,
                      size_t follow, double *sums)
{
    const INDEX *start = d->start;
    for (size_t i = 0; i < n; i++) {
        const size_t row = (size_t)rows[i];
        const size_t from = (size_t)start[row], count = (size_t)start[row + 1] - from;
        const T *x = (const T *)d->X + from;
        const INDEX *column = (const INDEX *)d->column + from;
        if (i + AHEAD < follow)
            CSR(fetch)(d, (size_t)rows[i + AHEAD]);
        for (size_t k = 0; k < m->K; k++) {
            const double dot = CSR(dot)(x, column, (const T *)m->u + k * m->L, count);
            const double pull = NAME(residual)(d, m, row, k, dot, sums);
            double *g = sums + k * m->L;
            for (size_t p = 0; p < count; p++)
                g[column[p]] += pull * (double)x[p];
        }
        if (touched->mark)
            CSR(touch)(touched, column, count);
    }
}

/* What stands in no row is 0, so there is no shift. */
static void CSR(moments)(const gs_lls_data *d, size_t L, size_t n, const double *shift,
                         double *sums)
{
    (void)shift;
    const INDEX *start = d->start, *column = d->column;
    const T *x = d->X;
    for (size_t i = 0; i < n; i++) {
        const double s = d->weight ? d->weight[i] : 1;
        sums[0] += s;
        for (size_t p = (size_t)start[i]; p < (size_t)start[i + 1]; p++) {
            const size_t j = (size_t)column[p];
            sums[1 + j] += s * (double)x[p];
            sums[1 + L + j] += s * (double)x[p] * (double)x[p];
        }
    }
}
