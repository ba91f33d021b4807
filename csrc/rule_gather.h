/* rule_gather.h: the loop around a gather(), part of rule_end.h. Element i of a
 * block is added in lane i mod GS_LANES, and the lanes by a fixed tree, in double;
 * so neither the width of vectors nor the number of threads shows in a sum. */

enum { K(width) = sizeof(SUMS) / sizeof(double) };

#define LANES(name) , double *restrict lane_##name
#define ADD(name) lane_##name[k] += term.name;
RULE_FN void K(gather_lanes)(size_t n, const P *restrict p, const G *restrict g,
                             T grad_scale,
                             const COEF *restrict c RULE_STATE(ARG) RULE_SUMS(LANES))
{
    for (size_t k = 0; k < n; k++) {
        const size_t i = k;
        STATE s = {RULE_STATE(LOAD)};
        SUMS term;
        K(gather)(p[i], grad_scale * g[i], &s, c, &term);
        RULE_STATE(STORE)
        RULE_SUMS(ADD)
    }
}
#undef ADD
#undef LANES

#define ZERO(name) double lane_##name[GS_LANES] = {0};
#define FROM(name) , state_##name + i
#define LANES(name) , lane_##name
#define SUM(name) *sum++ = gs_tree(lane_##name);
RULE_FN void K(block)(size_t n, const P *restrict p, const G *restrict g, T grad_scale,
                      const COEF *restrict coef, bool guards,
                      double *restrict sum RULE_STATE(ARG))
{
    const COEF c = K(with_guards)(coef, guards);
    RULE_SUMS(ZERO)
    size_t i = 0;
    for (; i + GS_LANES <= n; i += GS_LANES)
        K(gather_lanes)(GS_LANES, p + i, g + i, grad_scale,
                        &c RULE_STATE(FROM) RULE_SUMS(LANES));
    K(gather_lanes)(n - i, p + i, g + i, grad_scale,
                    &c RULE_STATE(FROM) RULE_SUMS(LANES));
    RULE_SUMS(SUM)
}
#undef SUM
#undef LANES
#undef FROM
#undef ZERO

#define FROM(name) , (T *)s->state[K(at_##name)] + at
RULE_LOOP void K(gather_block)(const gs_segment *s, size_t at, size_t n, double *sum)
{
    K(block)(n, (const P *)s->p + at, (const G *)s->g + at, (T)s->grad_scale, s->coef,
             false, sum RULE_STATE(FROM));
}

#if MAY_BE_0_OVER_0
RULE_LOOP void K(gather_block_guarded)(const gs_segment *s, size_t at, size_t n,
                                       double *sum)
{
    K(block)(n, (const P *)s->p + at, (const G *)s->g + at, (T)s->grad_scale, s->coef,
             true, sum RULE_STATE(FROM));
}
#endif
#undef FROM

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
            K(gather_lanes)(GS_LANES, g, g + b * GS_BLOCK + i, 1,
                            coef RULE_SUMS(LANES));
    for (size_t b = 0; b < K(TOGETHER); b++) {
        RULE_SUMS(SUM)
    }
}
#undef SUM
#undef LANES
#undef ZERO
#endif

/* Blocks begin at multiples of GS_BLOCK, as `begin` does. */
static void K(gather_range)(const gs_segment *s, size_t begin, size_t end)
{
    size_t at = begin;
    void (*gather_block)(const gs_segment *, size_t, size_t, double *) =
        K(gather_block);
#if MAY_BE_0_OVER_0
    if (((const COEF *)s->coef)->guards)
        gather_block = K(gather_block_guarded);
#endif
#ifdef RULE_ONLY_G
    const size_t together = (size_t)K(TOGETHER) * GS_BLOCK;
    for (; s->grad_scale == 1 && end - at >= together; at += together)
        K(gather_together)((const G *)s->g + at, s->coef,
                           s->partial + at / GS_BLOCK * K(width));
#endif
    for (; at < end; at += GS_BLOCK) {
        const size_t n = end - at < GS_BLOCK ? end - at : GS_BLOCK;
        gather_block(s, at, n, s->partial + at / GS_BLOCK * K(width));
    }
}
