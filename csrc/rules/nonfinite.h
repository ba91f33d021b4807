/* Not a rule: how many elements of the gradient are not finite. */
#define RULE nonfinite
#define RULE_HYPER(X)
#define RULE_STATE(X)
#define RULE_COEF(X)
#define RULE_STEPS 0
#define RULE_SUMS(X) X(count)
#define RULE_ACROSS
#define RULE_ONLY_G
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)h, (void)t, (void)sum, (void)c;
}

RULE_FN void K(gather)(T p, T g, STATE *s, const COEF *c, SUMS *term)
{
    (void)p, (void)s, (void)c;
    term->count = g - g == 0 ? 0 : 1;
}

#include "../rule_end.h"
