/* Adagrad. Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and
 * stochastic optimization", JMLR 12, 2011, Figure 1 (diagonal).
 *     g <- g + weight_decay p
 *     sum <- sum + g^2
 *     p <- p - lr/(1 + (t - 1) lr_decay) g / (sqrt(sum) + eps)
 * _inside: g / sqrt(sum + eps), as many texts print it.
 * Differs from torch.optim.Adagrad only in rounding. */
#define RULE adagrad
#define RULE_HYPER(X) X(lr) X(lr_decay) X(eps) X(weight_decay)
#define RULE_STATE(X) X(sum)
#define RULE_COEF(X) X(rate) X(eps) X(decay)
#define RULE_RESTS 1
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->rate = h->lr / (1 + (t - 1) * h->lr_decay);
    c->eps = h->eps;
    c->decay = h->weight_decay;
}

RULE_HOST bool K(rests)(const HYPER *h)
{
    return h->weight_decay == 0;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->sum = s->sum + g * g;
#if INSIDE
    return p - OVER(c->rate * g, SQRT(s->sum + c->eps));
#else
    return p - OVER(c->rate * g, SQRT(s->sum) + c->eps);
#endif
}
#include "../rule_end.h"
