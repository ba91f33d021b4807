/* rule_gather.h: the loop around terms(), part of rule_end.h. Element i of a block is
 * added in lane i mod GS_LANES, and the lanes by a fixed tree, in double; so neither the
 * width of vectors nor the number of threads shows in a sum. */

enum { K(width) = sizeof(SUMS) / sizeof(double) };

/* Without a unit, states advance first. With one for each sum, the terms are taken once
 * more. */
#define LANES(name) , double *restrict lane_##name
#if RULE_SQUARES
#define ADD(name)                                                                      \
    lane_##name[k] += gs_square(unit ? term.name * unit->name : term.name);
#else
#define ADD(name) lane_##name[k] += term.name;
#endif
RULE_FN void K(gather_lanes)(size_t n, const P *restrict p, const G *restrict g,
                             T grad_scale, const COEF *restrict c,
                             const SUMS *unit RULE_STATE(ARG) RULE_SUMS(LANES))
{
    (void)unit;
#if RULE_ROLLED && !defined __clang__
#pragma GCC unroll 1
#endif
    for (size_t k = 0; k < n; k++) {
        const size_t i = k;
        STATE s = {RULE_STATE(LOAD)};
        SUMS term;
#if RULE_ADVANCES
        if (!unit) {
            K(advance)(p[i], grad_scale * g[i], &s, c);
            RULE_STATE(STORE)
        }
#endif
        K(terms)(p[i], grad_scale * g[i], &s, c, &term);
        RULE_SUMS(ADD)
    }
}
#undef ADD
#undef LANES

#define ZERO(name) double lane_##name[GS_LANES] = {0};
#define FROM(name) , state_##name + i
#define LANES(name) , lane_##name
#define SUM(name) *sum++ = gs_tree(lane_##name);
RULE_FN void K(lanes)(size_t n, const P *restrict p, const G *restrict g, T grad_scale,
                      const COEF *restrict coef, bool guards, const SUMS *unit,
                      double *restrict sum RULE_STATE(ARG))
{
    const COEF c = K(with_guards)(coef, guards);
    RULE_SUMS(ZERO)
    size_t i = 0;
    for (; i + GS_LANES <= n; i += GS_LANES)
        K(gather_lanes)(GS_LANES, p + i, g + i, grad_scale, &c,
                        unit RULE_STATE(FROM) RULE_SUMS(LANES));
    K(gather_lanes)(n - i, p + i, g + i, grad_scale, &c,
                    unit RULE_STATE(FROM) RULE_SUMS(LANES));
    RULE_SUMS(SUM)
}
#undef SUM
#undef LANES
#undef FROM
#undef ZERO

/* Loops of their own, so that in each of them `guards` and `unit` are constants. */
#define PASS(name) , state_##name
RULE_LOOP void K(gather_block)(size_t n, const P *restrict p, const G *restrict g,
                               T grad_scale, const COEF *restrict coef,
                               double *restrict sum RULE_STATE(ARG))
{
    K(lanes)(n, p, g, grad_scale, coef, false, NULL, sum RULE_STATE(PASS));
}

#if MAY_BE_0_OVER_0
RULE_LOOP void K(gather_block_guarded)(size_t n, const P *restrict p,
                                       const G *restrict g, T grad_scale,
                                       const COEF *restrict coef,
                                       double *restrict sum RULE_STATE(ARG))
{
    K(lanes)(n, p, g, grad_scale, coef, true, NULL, sum RULE_STATE(PASS));
}
#endif

#if RULE_SQUARES
RULE_LOOP void K(gather_block_again)(size_t n, const P *restrict p, const G *restrict g,
                                     T grad_scale, const COEF *restrict coef,
                                     const SUMS *unit,
                                     double *restrict sum RULE_STATE(ARG))
{
    K(lanes)(n, p, g, grad_scale, coef, true, unit, sum RULE_STATE(PASS));
}
#endif
#undef PASS

#ifdef RULE_ONLY_G
/* Whole blocks of gradients as they are: several at once, since memory gives more to a
 * few streams than to one. */
enum { K(TOGETHER) = 4 };
#define ZERO(name) double lane_##name[K(TOGETHER)][GS_LANES] = {0};
#define LANES(name) , lane_##name[b]
#define SUM(name) *sum++ = gs_tree(lane_##name[b]);
RULE_LOOP void K(gather_together)(const G *restrict g, const COEF *restrict coef,
                                  double *restrict sum)
{
    RULE_SUMS(ZERO)
    for (size_t i = 0; i < GS_BLOCK; i += GS_LANES)
        for (size_t b = 0; b < K(TOGETHER); b++)
            K(gather_lanes)(GS_LANES, g, g + b * GS_BLOCK + i, 1, coef,
                            NULL RULE_SUMS(LANES));
    for (size_t b = 0; b < K(TOGETHER); b++) {
        RULE_SUMS(SUM)
    }
}
#undef SUM
#undef LANES
#undef ZERO
#endif

#define FROM(name) , (T *)s->state[K(at_##name)] + at
static void K(gather_one)(const gs_segment *s, size_t at, size_t n)
{
    const P *p = (const P *)s->p + at;
    const G *g = (const G *)s->g + at;
    const T scale = (T)s->grad_scale;
    double *sum = s->partial + at / GS_BLOCK * K(width);
#if RULE_SQUARES
    const SUMS *unit = (const SUMS *)s->unit;
    if (unit) {
        K(gather_block_again)(n, p, g, scale, s->coef, unit, sum RULE_STATE(FROM));
        return;
    }
#endif
#if MAY_BE_0_OVER_0
    if (((const COEF *)s->coef)->guards) {
        K(gather_block_guarded)(n, p, g, scale, s->coef, sum RULE_STATE(FROM));
        return;
    }
#endif
    K(gather_block)(n, p, g, scale, s->coef, sum RULE_STATE(FROM));
}
#undef FROM

/* Blocks begin at multiples of GS_BLOCK, as `begin` does. */
static void K(gather_range)(const gs_segment *s, size_t begin, size_t end)
{
    if (s->unit && !RULE_SQUARES)
        return;
    size_t at = begin;
#ifdef RULE_ONLY_G
    const size_t together = (size_t)K(TOGETHER) * GS_BLOCK;
    for (; s->grad_scale == 1 && !s->unit && end - at >= together; at += together)
        K(gather_together)((const G *)s->g + at, s->coef,
                           s->partial + at / GS_BLOCK * K(width));
#endif
    for (; at < end; at += GS_BLOCK)
        K(gather_one)(s, at, end - at < GS_BLOCK ? end - at : GS_BLOCK);
}
