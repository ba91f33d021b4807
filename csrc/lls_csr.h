/* lls_csr.h: the sums of rows of a matrix in compressed sparse rows, for indices of type
 * INDEX; included by lls.c. No row has a column twice.
 * Its products are added as in lls_pass.h, value p of the row in the place of column p. */

#define PRODUCT(p) ((double)x[p] * (double)u[column ? (size_t)column[p] : (p)])

RULE_FN double CSR(dot_narrow)(const T *restrict x, const INDEX *restrict column,
                               const T *restrict u, size_t n)
{
    double lane[4] = {-0.0, -0.0, -0.0, -0.0};
    for (size_t p = 0; p < n - n % 2; p++)
        lane[p % 4] += PRODUCT(p);
    const double sum = (lane[0] + lane[2]) + (lane[1] + lane[3]);
    return n % 2 ? sum + PRODUCT(n - 1) : sum;
}

/* u is packed if there is no `column`. */
RULE_FN double CSR(dot)(const T *restrict x, const INDEX *restrict column,
                        const T *restrict u, size_t n)
{
    if (n < GS_LANES)
        return CSR(dot_narrow)(x, column, u, n);
    double lane[GS_LANES], rest = 0;
    const size_t whole = n - n % GS_LANES;
    for (size_t k = 0; k < GS_LANES; k++)
        lane[k] = PRODUCT(k);
    for (size_t p = GS_LANES; p < whole; p += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += PRODUCT(p + k);
    for (size_t p = whole; p < n; p++)
        rest += PRODUCT(p);
    return gs_tree(lane) + rest;
}
#undef PRODUCT

RULE_FN void CSR(add)(double *restrict g, double pull, const T *restrict x,
                      const INDEX *restrict column, size_t n)
{
    for (size_t p = 0; p < n; p++)
        g[column[p]] += pull * (double)x[p];
}

/* The same where sums are those of touched columns only, in the order of their first
 * touch. Without a branch: which columns are new is not to be foreseen. */
RULE_FN void CSR(add_touched)(gs_lls_touched *t, double *restrict g, double pull,
                              const T *restrict x, const INDEX *restrict column,
                              size_t n)
{
    size_t count = t->count;
    for (size_t p = 0; p < n; p++) {
        const size_t j = (size_t)column[p];
        const uint32_t known = t->place[j], fresh = -(uint32_t)(known == 0);
        t->column[count] = (int64_t)j; /* room for one more than L */
        count += fresh & 1;
        const uint32_t place = known | (fresh & (uint32_t)count);
        t->place[j] = place;
        g[place - 1] += pull * (double)x[p];
    }
    t->count = count;
}

RULE_FN void CSR(fetch)(const gs_lls_data *d, size_t i)
{
    const INDEX *start = d->start;
    const char *x = (const char *)((const T *)d->X + start[i]);
    const char *x_end = (const char *)((const T *)d->X + start[i + 1]);
    for (; x < x_end; x += GS_LINE)
        prefetch(x, TO_L2);
    const char *c = (const char *)((const INDEX *)d->column + start[i]);
    const char *c_end = (const char *)((const INDEX *)d->column + start[i + 1]);
    for (; c < c_end; c += GS_LINE)
        prefetch(c, TO_L2);
}

static void CSR(rows)(const gs_lls_data *d, const gs_lls_model *m,
                      gs_lls_touched *touched, gs_lls_route route, size_t n,
                      double *sums)
{
    const INDEX *start = d->start;
    double *pulls = sums + m->K * m->L, *squares = pulls + m->K;
    for (size_t i = 0; i < n; i++) {
        const size_t row = (size_t)route.rows[i];
        const size_t from = (size_t)start[row], count = (size_t)start[row + 1] - from;
        const T *x = (const T *)d->X + from;
        const INDEX *column = (const INDEX *)d->column + from;
        if (i < route.foreseen)
            CSR(fetch)(d, (size_t)route.soon[i]);
        for (size_t k = 0; k < m->K; k++) {
            const double dot = CSR(dot)(x, column, (const T *)m->u + k * m->L, count);
            const double pull =
                NAME(residual)(d, m, row, k, dot, pulls + k, squares + k);
            if (touched->place)
                CSR(add_touched)(touched, sums + k * m->L, pull, x, column, count);
            else
                CSR(add)(sums + k * m->L, pull, x, column, count);
        }
    }
}

static void CSR(pack)(const gs_lls_model *m, gs_lls_columns c, const void *array,
                      void *packed)
{
    const INDEX *column = c.column;
    T *restrict to = packed;
    for (size_t k = 0; k < m->K; k++)
        for (size_t i = 0; i < c.count; i++)
            *to++ = ((const T *)array)[k * m->L + (size_t)column[i]];
}

static void CSR(unpack)(const gs_lls_model *m, gs_lls_columns c, const void *packed,
                        void *array)
{
    const INDEX *column = c.column;
    const T *restrict from = packed;
    for (size_t k = 0; k < m->K; k++)
        for (size_t i = 0; i < c.count; i++)
            ((T *)array)[k * m->L + (size_t)column[i]] = *from++;
}

static void CSR(alone)(const gs_lls_data *d, const gs_lls_model *m, gs_lls_touched *t,
                       gs_lls_route route, gs_lls_columns *columns, double *squares)
{
    const INDEX *start = d->start;
    const size_t row = (size_t)*route.rows;
    const size_t from = (size_t)start[row], n = (size_t)start[row + 1] - from;
    if (route.foreseen)
        CSR(fetch)(d, (size_t)*route.soon);
    const INDEX *column = (const INDEX *)d->column + from;
    const T *x = (const T *)d->X + from;
    *columns = (gs_lls_columns){d->form, column, n};
    CSR(pack)(m, *columns, m->w, t->packed[0]);
    for (size_t k = 0; k < m->K; k++) {
        const T *w = (const T *)t->packed[0] + k * n;
        T *g = (T *)t->packed[1] + k * n;
        double pulls = 0;
        const double dot = CSR(dot)(x, NULL, w, n);
        const double pull = NAME(residual)(d, m, row, k, dot, &pulls, squares);
        for (size_t p = 0; p < n; p++)
            g[p] = (T)(2 * (pull * (double)x[p]));
        if (m->gb)
            ((T *)m->gb)[k] = (T)(2 * pull);
    }
}

static void CSR(moments)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                         const double *about, double *moments)
{
    const INDEX *start = d->start, *column = d->column;
    const T *x = d->X;
    double *values = moments + 1, *squares = values + L, *stored = squares + L;
    for (size_t i = 0; i < n; i++) {
        const double s = d->weight ? d->weight[rows[i]] : 1;
        if (s == 0)
            continue;
        moments[0] += s;
        const size_t end = (size_t)start[rows[i] + 1];
        for (size_t p = (size_t)start[rows[i]]; p < end; p++) {
            const size_t j = (size_t)column[p];
            const double apart = (double)x[p] - about[j];
            values[j] += s * (double)x[p];
            squares[j] += s * apart * apart;
            stored[j] += s;
        }
    }
}
