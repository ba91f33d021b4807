/* Gradient descent with a buffer of past gradients.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     b <- momentum b + (1 - dampening) g        (b = g at t = 1, unless dampen_first)
 *     p <- p - lr b                                                  (sgd_momentum)
 * p <- p - lr (g + momentum b), dampening = 0     (sgd_nesterov, see sgd_nesterov.h)
 * Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
 * Differs from torch.optim.SGD only in rounding. */
#ifndef NESTEROV
#define RULE sgd_momentum
#define NESTEROV 0
#define RULE_HYPER(X)                                                                  \
    X(lr) X(momentum) X(dampening) X(dampen_first) X(weight_decay) X(decoupled)
#else
#define RULE_HYPER(X) X(lr) X(momentum) X(weight_decay) X(decoupled)
#endif
#define RULE_STATE(X) X(b)
#define RULE_COEF(X) X(lr) X(decay) X(keep) X(past) X(present) X(ahead)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->lr = h->lr;
    SET_DECAY(h, c);
    c->past = t > 1 ? h->momentum : 0;
#if NESTEROV
    c->present = 1;
#else
    c->present = t > 1 || h->dampen_first ? 1 - h->dampening : 1;
#endif
    c->ahead = h->momentum;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->b = c->past * s->b + c->present * g;
#if NESTEROV
    return p * c->keep - c->lr * (g + c->ahead * s->b);
#else
    return p * c->keep - c->lr * s->b;
#endif
}
#include "../rule_end.h"
#undef NESTEROV
