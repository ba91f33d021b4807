/* Not a rule: the length of Adan's last step, sum of sqrt(n) (p' - p)^2, for its
 * restart condition. Reads p' where rules read the gradient. Xie et al.,
 * arXiv:2208.06677. */
#define RULE adan_moved
#define RULE_HYPER(X)
#define RULE_STATE(X) X(n)
#define RULE_COEF(X)
#define RULE_STEPS 0
#define RULE_SUMS(X) X(length)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)h, (void)t, (void)sum, (void)c;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)c;
    const double moved = (double)g - (double)p;
    term->length = (double)SQRT(s->n) * (moved * moved);
}

#include "../rule_end.h"
