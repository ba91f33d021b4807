/* lls_model.h: from the sums of a batch to gradients, and what else is done once in an
 * update; included by lls.c with T. */

static void NAME(meet)(const gs_lls_model *m, bool dense)
{
    const T *b = m->b;
    for (size_t k = 0; k < m->K; k++) {
        const T *w = (const T *)m->w + k * m->L;
        T *u = (T *)m->u + k * m->L;
        double c = b ? (double)b[k] : 0;
        if (m->inverse)
            for (size_t j = 0; j < m->L; j++)
                u[j] = (T)((double)w[j] * m->inverse[j]);
        if (m->mean)
            for (size_t j = 0; j < m->L; j++)
                c -= m->mean[j] * (double)u[j];
        m->c[k] = c;
    }
    if (dense && (void *)m->wide != m->u)
        for (size_t j = 0; j < m->K * m->L; j++)
            m->wide[j] = (double)((const T *)m->u)[j];
}

/* Of column j, from the sum over rows: as w belongs to scaled features, and with the
 * penalty of as many rows. */
RULE_FN double NAME(slope)(const gs_lls_model *m, size_t j, double sum, double pulls,
                           double penalty, double w)
{
    const double inverse = m->inverse ? m->inverse[j] : 1;
    const double centred = m->mean ? sum - m->mean[j] * pulls : sum;
    return centred * inverse + penalty * (inverse * inverse) * w;
}

static void NAME(finish_row)(const gs_lls_model *m, const T *restrict w, T *restrict g,
                             double *restrict sum, double scale, double pulls,
                             double penalty)
{
    if (!m->inverse && penalty == 0) {
        for (size_t j = 0; j < m->L; j++) {
            g[j] = (T)(scale * sum[j]);
            sum[j] = 0;
        }
        return;
    }
    for (size_t j = 0; j < m->L; j++) {
        g[j] = (T)(scale * NAME(slope)(m, j, sum[j], pulls, penalty, (double)w[j]));
        sum[j] = 0;
    }
}

static void NAME(finish_touched)(const gs_lls_model *m, gs_lls_touched *t, double scale,
                                 double *sums)
{
    T *g = t->packed[1];
    for (size_t k = 0; k < m->K; k++)
        for (size_t i = 0; i < t->count; i++) {
            *g++ = (T)(scale * sums[k * m->L + i]);
            sums[k * m->L + i] = 0;
        }
}

static void NAME(finish)(const gs_lls_model *m, gs_lls_touched *t, size_t n,
                         double *sums)
{
    const double scale = m->divide ? 2.0 / (double)n : 2.0;
    double *pulls = sums + m->K * m->L;
    if (t->place)
        NAME(finish_touched)(m, t, scale, sums);
    else
        for (size_t k = 0; k < m->K; k++)
            NAME(finish_row)(m, (const T *)m->w + k * m->L, (T *)m->g + k * m->L,
                             sums + k * m->L, scale, pulls[k], (double)n * m->ridge);
    for (size_t k = 0; k < m->K; k++) {
        if (m->b)
            ((T *)m->gb)[k] = (T)(scale * pulls[k]);
        pulls[k] = pulls[m->K + k] = 0;
    }
}

static void NAME(accumulate)(const gs_lls_model *m)
{
    const size_t size = m->K * m->L;
    for (size_t j = 0; j < size; j++)
        m->total[j] += (double)((const T *)m->w)[j];
    for (size_t k = 0; m->b && k < m->K; k++)
        m->total[size + k] += (double)((const T *)m->b)[k];
}

static bool NAME(finite)(const gs_lls_model *m)
{
    const T *w = m->w, *b = m->b;
    bool all = true;
    for (size_t j = 0; j < m->K * m->L; j++)
        all &= w[j] - w[j] == 0;
    for (size_t k = 0; b && k < m->K; k++)
        all &= b[k] - b[k] == 0;
    return all;
}

/* In the units of X, where the penalty is: the sum of squares of u, by lanes as in
 * lls_pass.h. */
static double NAME(squared_norm)(const gs_lls_model *m)
{
    const size_t size = m->K * m->L, whole = size - size % GS_LANES;
    const T *u = m->u;
    double lane[GS_LANES] = {0}, rest = 0;
    for (size_t j = 0; j < whole; j += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += (double)u[j + k] * (double)u[j + k];
    for (size_t j = whole; j < size; j++)
        rest += (double)u[j] * (double)u[j];
    return gs_tree(lane) + rest;
}
