/* Signum. Bernstein et al., "signSGD: compressed optimisation for non-convex problems",
 * arXiv:1802.04434, Algorithm 2; signSGD, Algorithm 1, for momentum = 0.
 *     p <- (1 - lr weight_decay) p
 *     m <- momentum m + (1 - momentum) g
 *     p <- p - lr sign(m)
 * The decay is not in the paper; it is that of Lion. */
#define RULE signum
#define RULE_HYPER(X) X(lr) X(momentum) X(weight_decay)
#define RULE_STATE(X) X(m)
#define RULE_COEF(X) X(b) X(a) X(keep) X(lr)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->b = h->momentum;
    c->a = 1 - h->momentum;
    c->keep = 1 - h->lr * h->weight_decay;
    c->lr = h->lr;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->m = c->b * s->m + c->a * g;
    return p * c->keep - c->lr * SIGN(s->m);
}
#include "../rule_end.h"
