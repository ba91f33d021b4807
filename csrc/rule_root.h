/* rule_root.h: the loops of a rule with a cube root, part of rule_end.h. A chunk of
 * elements, small enough for the first cache, goes through them one after the other;
 * cbrt.h says why. */

enum { K(CHUNK) = 256 };

RULE_LOOP void K(root_first)(size_t n, const P *restrict p, const G *restrict g,
                             T grad_scale, const COEF *restrict coef, T *restrict x,
                             T *restrict near RULE_STATE(ARG))
{
    const COEF c = *coef;
    for (size_t i = 0; i < n; i++) {
        STATE s = {RULE_STATE(LOAD)};
        x[i] = K(radicand)(p[i], grad_scale * g[i], &s, &c);
        near[i] = CBRT_NEAR(CBRT_SCALED(x[i]));
        RULE_STATE(STORE)
    }
}

RULE_LOOP void K(root_second)(size_t n, const T *restrict x, T *restrict near)
{
    for (size_t i = 0; i < n; i++)
        near[i] = CBRT_ROOT(near[i], CBRT_SCALED(x[i]));
}

RULE_LOOP void K(root_last)(size_t n, P *restrict p, const G *restrict g, T grad_scale,
                            const COEF *restrict coef, const T *restrict x,
                            const T *restrict root RULE_STATE(ARG))
{
    const COEF c = *coef;
    for (size_t i = 0; i < n; i++) {
        STATE s = {RULE_STATE(LOAD)};
        p[i] = K(update)(p[i], grad_scale * g[i], &s, &c, CBRT_BACK(root[i], x[i]));
        RULE_STATE(STORE)
    }
}

#define FROM(name) , state_##name + i
RULE_FN void K(loop)(size_t n, P *restrict p, const G *restrict g, T grad_scale,
                     const COEF *restrict c, bool guards RULE_STATE(ARG))
{
    (void)guards;
    T x[K(CHUNK)], near[K(CHUNK)];
    for (size_t i = 0; i < n; i += K(CHUNK)) {
        const size_t m = n - i < K(CHUNK) ? n - i : K(CHUNK);
        K(root_first)(m, p + i, g + i, grad_scale, c, x, near RULE_STATE(FROM));
        K(root_second)(m, x, near);
        K(root_last)(m, p + i, g + i, grad_scale, c, x, near RULE_STATE(FROM));
    }
}
#undef FROM
