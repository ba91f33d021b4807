/* lls_system_csr.h: lls_system.h for indices of type INDEX; included by lls.c with T. */

RULE_FN double CSR(system_dot)(const T *restrict x, const INDEX *restrict column,
                               const double *restrict w, size_t n)
{
    double lane[4] = {0}, rest = 0;
    const size_t whole = n - n % 4;
    for (size_t p = 0; p < whole; p += 4)
        for (size_t k = 0; k < 4; k++)
            lane[k] += (double)x[p + k] * w[(size_t)column[p + k]];
    for (size_t p = whole; p < n; p++)
        rest += (double)x[p] * w[(size_t)column[p]];
    return ((lane[0] + lane[2]) + (lane[1] + lane[3])) + rest;
}

static void CSR(system)(const gs_lls_data *d, const gs_lls_system *s,
                        gs_lls_route route, size_t n, double *sums)
{
    const INDEX *start = d->start;
    const size_t L = s->L;
    double *pulls = sums + s->K * L, *squares = pulls + s->K;
    for (size_t i = 0; i < n; i++) {
        const size_t row = (size_t)route.rows[i];
        const size_t from = (size_t)start[row], count = (size_t)start[row + 1] - from;
        const T *x = (const T *)d->X + from;
        const INDEX *column = (const INDEX *)d->column + from;
        for (size_t k = 0; k < s->K; k++) {
            double residual = NAME(system_target)(d, s, row, k);
            if (s->base)
                residual += CSR(system_dot)(x, column, s->base + k * L, count);
            residual += CSR(system_dot)(x, column, s->step + k * L, count) +
                        s->step_constant[k];
            const double pull =
                NAME(system_pull)(d, row, residual, pulls + k, squares + k);
            CSR(add)(sums + k * L, pull, x, column, count);
        }
    }
}

static void CSR(extents)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                         const double *about, double *extents)
{
    const INDEX *start = d->start, *column = d->column;
    const T *x = d->X;
    double *sum = extents + 1, *most = extents + 1 + L;
    for (size_t i = 0; i < n; i++) {
        const double s = d->weight ? d->weight[rows[i]] : 1;
        if (s == 0)
            continue;
        extents[0] += s;
        const size_t end = (size_t)start[rows[i] + 1];
        for (size_t p = (size_t)start[rows[i]]; p < end; p++) {
            const size_t j = (size_t)column[p];
            const double apart = (double)x[p] - about[j], size = fabs(apart);
            sum[j] += s * apart;
            most[j] = MAX(size, most[j]);
        }
    }
}

static void CSR(spreads)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                         const double *centre, const double *unit, double *spreads)
{
    const INDEX *start = d->start, *column = d->column;
    const T *x = d->X;
    double *squares = spreads, *stored = spreads + L;
    for (size_t i = 0; i < n; i++) {
        const double s = d->weight ? d->weight[rows[i]] : 1;
        const size_t end = (size_t)start[rows[i] + 1];
        for (size_t p = (size_t)start[rows[i]]; s != 0 && p < end; p++) {
            const size_t j = (size_t)column[p];
            const double apart = ((double)x[p] - centre[j]) * unit[j];
            squares[j] += s * (apart * apart);
            stored[j] += s;
        }
    }
}
