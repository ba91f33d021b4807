/* lls_system.h: all rows as one system, for minimisers that use every row in each step:
 * residuals in float64 and their products with the columns, and the sizes of columns;
 * included by lls.c with T.
 *
 * Dense rows are centred element by element, so that no digit is lost to means that are
 * large beside deviations. Zeros that are not stored cannot be centred: what the centre
 * takes from sparse rows is in `constant`. */

/* Products of a centred row with two vectors, of which the row is widened once: 16 lanes,
 * then 4, then one after the other, whatever the width of the machine's vectors. Without
 * `base`, its product is 0. */
RULE_FN void NAME(system_dots)(const T *restrict x, const double *restrict centre,
                               const double *restrict base, const double *restrict step,
                               size_t L, double *products, const bool with_base)
{
    double lane[2][GS_LANES], four[2][4], sum[2] = {0, 0};
    size_t j = 0;
    if (L >= GS_LANES) {
        for (size_t k = 0; k < GS_LANES; k++) {
            const double apart = (double)x[k] - centre[k];
            lane[0][k] = apart * step[k];
            lane[1][k] = with_base ? apart * base[k] : 0;
        }
        for (j = GS_LANES; j + GS_LANES <= L; j += GS_LANES)
            for (size_t k = 0; k < GS_LANES; k++) {
                const double apart = (double)x[j + k] - centre[j + k];
                lane[0][k] += apart * step[j + k];
                if (with_base)
                    lane[1][k] += apart * base[j + k];
            }
        sum[0] = gs_tree(lane[0]);
        sum[1] = with_base ? gs_tree(lane[1]) : 0;
    }
    if (j + 4 <= L) {
        for (size_t k = 0; k < 4; k++) {
            const double apart = (double)x[j + k] - centre[j + k];
            four[0][k] = apart * step[j + k];
            four[1][k] = with_base ? apart * base[j + k] : 0;
        }
        for (j += 4; j + 4 <= L; j += 4)
            for (size_t k = 0; k < 4; k++) {
                const double apart = (double)x[j + k] - centre[j + k];
                four[0][k] += apart * step[j + k];
                if (with_base)
                    four[1][k] += apart * base[j + k];
            }
        for (size_t v = 0; v < 2; v++)
            sum[v] += (four[v][0] + four[v][2]) + (four[v][1] + four[v][3]);
    }
    for (; j < L; j++) {
        const double apart = (double)x[j] - centre[j];
        sum[0] += apart * step[j];
        sum[1] += with_base ? apart * base[j] : 0;
    }
    products[0] = sum[0];
    products[1] = sum[1];
}

RULE_LOOP void NAME(system_dot)(const T *x, const double *centre, const double *step,
                                size_t L, double *products)
{
    NAME(system_dots)(x, centre, NULL, step, L, products, false);
}

RULE_LOOP void NAME(system_dot_based)(const T *x, const double *centre,
                                      const double *base, const double *step, size_t L,
                                      double *products)
{
    NAME(system_dots)(x, centre, base, step, L, products, true);
}

RULE_FN double NAME(system_column)(double sum, const double *pull, const T *const *x,
                                   double centre, size_t j, const size_t n)
{
    for (size_t r = 0; r < n; r++)
        sum += pull[r] * ((double)x[r][j] - centre);
    return sum;
}

/* g += pull (x - centre) of n rows in their order, n a constant: one load and one store
 * of g for all of them. */
RULE_FN void NAME(system_add)(double *restrict g, const double *pull, const T *const *x,
                              const double *restrict centre, size_t L, const size_t n)
{
    for (size_t j = 0; j < L; j++)
        g[j] = NAME(system_column)(g[j], pull, x, centre[j], j, n);
}

/* A residual, before the product with `step`; what is large is subtracted first. */
RULE_FN double NAME(system_target)(const gs_lls_data *d, const gs_lls_system *s,
                                   size_t i, size_t k)
{
    double y = 0;
    if (k < s->targets)
        y = d->wide_targets ? ((const double *)d->y)[i * s->targets + k]
                            : (double)((const T *)d->y)[i * s->targets + k];
    return s->constant[k] - s->unit[k] * y;
}

RULE_FN double NAME(system_pull)(const gs_lls_data *d, size_t i, double r,
                                 double *pulls, double *squares)
{
    const double pull = d->weight ? d->weight[i] * r : r;
    *pulls += pull;
    *squares += pull * r;
    return pull;
}

RULE_FN void NAME(system_rows)(const gs_lls_data *d, const gs_lls_system *s,
                               const int64_t *rows, double *sums, const size_t n)
{
    const size_t L = s->L;
    double *pulls = sums + s->K * L, *squares = pulls + s->K;
    const T *x[TOGETHER];
    double pull[TOGETHER];
    for (size_t r = 0; r < n; r++)
        x[r] = (const T *)d->X + (size_t)rows[r] * L;
    for (size_t k = 0; k < s->K; k++) {
        for (size_t r = 0; r < n; r++) {
            double residual = NAME(system_target)(d, s, (size_t)rows[r], k), product[2];
            if (s->base)
                NAME(system_dot_based)(x[r], s->centre, s->base + k * L,
                                       s->step + k * L, L, product);
            else
                NAME(system_dot)(x[r], s->centre, s->step + k * L, L, product);
            residual = (residual + product[1]) + (product[0] + s->step_constant[k]);
            pull[r] =
                NAME(system_pull)(d, (size_t)rows[r], residual, pulls + k, squares + k);
        }
        NAME(system_add)(sums + k * L, pull, x, s->centre, L, n);
    }
}

static void NAME(system)(const gs_lls_data *d, const gs_lls_system *s,
                         gs_lls_route route, size_t n, double *sums)
{
    size_t i = 0;
    for (; i + TOGETHER <= n; i += TOGETHER)
        NAME(system_rows)(d, s, route.rows + i, sums, TOGETHER);
    for (; i < n; i++)
        NAME(system_rows)(d, s, route.rows + i, sums, 1);
}

static void NAME(extents)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                          const double *about, double *extents)
{
    double *restrict sum = extents + 1, *restrict most = extents + 1 + L;
    for (size_t i = 0; i < n; i++) {
        const T *x = (const T *)d->X + (size_t)rows[i] * L;
        const double s = d->weight ? d->weight[rows[i]] : 1;
        if (s == 0)
            continue;
        extents[0] += s;
        for (size_t j = 0; j < L; j++) {
            const double apart = (double)x[j] - about[j], size = fabs(apart);
            sum[j] += s * apart;
            most[j] = MAX(size, most[j]);
        }
    }
}

static void NAME(spreads)(const gs_lls_data *d, size_t L, const int64_t *rows, size_t n,
                          const double *centre, const double *unit, double *spreads)
{
    double *restrict squares = spreads;
    for (size_t i = 0; i < n; i++) {
        const T *x = (const T *)d->X + (size_t)rows[i] * L;
        const double s = d->weight ? d->weight[rows[i]] : 1;
        for (size_t j = 0; s != 0 && j < L; j++) {
            const double apart = ((double)x[j] - centre[j]) * unit[j];
            squares[j] += s * (apart * apart);
        }
    }
}
