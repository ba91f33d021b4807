/* Gradient descent without memory. Robbins & Monro, "A stochastic approximation
 * method", 1951; Cauchy, 1847.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     p <- p - lr g
 * Differs from torch.optim.SGD(momentum=0) only in rounding. */
#define RULE sgd
#define RULE_HYPER(X) X(lr) X(weight_decay) X(decoupled)
#define RULE_STATE(X)
#define RULE_COEF(X) X(lr) X(decay) X(keep)
#define RULE_RESTS 1
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->lr = h->lr;
    SET_DECAY(h, c);
}

RULE_HOST bool K(rests)(const HYPER *h)
{
    return h->weight_decay == 0;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    (void)s;
    g = g + c->decay * p;
    return p * c->keep - c->lr * g;
}
#include "../rule_end.h"
