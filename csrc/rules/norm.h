/* Not a rule: the norm of the gradient, for clipping; or (NONFINITE) how many of its
 * elements are not finite. */
#define RULE norm
#define RULE_HYPER(X)
#define RULE_STATE(X)
#define RULE_COEF(X)
#define RULE_STEPS 0
#define RULE_SUMS(X) X(sum)
#define RULE_ACROSS
#define RULE_ONLY_G
#if !NONFINITE
#define RULE_SQUARES 1
#endif
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)h, (void)t, (void)sum, (void)c;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)p, (void)s, (void)c;
#if NONFINITE
    term->sum = g - g == 0 ? 0 : 1;
#else
    term->sum = g;
#endif
}

#include "../rule_end.h"
