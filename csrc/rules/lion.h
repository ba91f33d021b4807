/* Lion. Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675,
 * Algorithm 2.
 *     c <- beta1 m + (1 - beta1) g
 *     p <- (1 - lr weight_decay) p - lr sign(c)
 *     m <- beta2 m + (1 - beta2) g
 * Differs from google/automl's code only in rounding. */
#define RULE lion
#define RULE_HYPER(X) X(lr) X(beta1) X(beta2) X(weight_decay)
#define RULE_STATE(X) X(m)
#define RULE_COEF(X) X(b1) X(a1) X(b2) X(a2) X(keep) X(lr)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->keep = 1 - h->lr * h->weight_decay;
    c->lr = h->lr;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    const T d = c->b1 * s->m + c->a1 * g;
    s->m = c->b2 * s->m + c->a2 * g;
    return p * c->keep - c->lr * SIGN(d);
}
#include "../rule_end.h"
