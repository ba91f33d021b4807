/* Adamax. Kingma & Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980,
 * Algorithm 2, with torch's eps (none in the paper).
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     m <- beta1 m + (1 - beta1) g
 *     u <- max(beta2 u, |g| + eps)
 *     p <- p - lr/(1 - beta1^t) m / u
 * Differs from torch.optim.Adamax only in rounding. */
#define RULE adamax
#define RULE_HYPER(X) X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled)
#define RULE_STATE(X) X(m) X(u)
#define RULE_COEF(X) X(b1) X(a1) X(b2) X(decay) X(keep) X(rate) X(eps)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    SET_DECAY(h, c);
    c->rate = h->lr / (1 - powi(h->beta1, t));
    c->eps = h->eps;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    const T old = c->b2 * s->u;
    const T size = ABS(g) + c->eps;
    s->u = MAX(old, size);
    return p * c->keep - OVER(c->rate * s->m, s->u);
}
#include "../rule_end.h"
