/* EAdam. Yuan & Gao, "EAdam optimizer: how epsilon impacts Adam", arXiv:2011.02150,
 * Algorithm 1; eps is added to the average itself, at every step.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2 + eps
 *     p <- p - lr m/(1 - beta1^t) / sqrt(v/(1 - beta2^t))
 * _amsgrad: as in the authors' code, v lacks eps, vmax <- max(vmax, v), and
 *     p <- p - lr m/(1 - beta1^t) / ((sqrt(vmax) + eps)/sqrt(1 - beta2^t)) */
#define RULE eadam
#define RULE_HYPER(X) X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled)
#if AMSGRAD
#define RULE_STATE(X) X(m) X(v) X(vmax)
#else
#define RULE_STATE(X) X(m) X(v)
#endif
#define RULE_COEF(X) X(b1) X(a1) X(b2) X(a2) X(decay) X(keep) X(rate) X(eps)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    SET_DECAY(h, c);
    c->rate = h->lr * sqrt(1 - powi(h->beta2, t)) / (1 - powi(h->beta1, t));
    c->eps = h->eps;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
#if AMSGRAD
    s->vmax = MAX(s->vmax, s->v);
    return p * c->keep - OVER(c->rate * s->m, SQRT(s->vmax) + c->eps);
#else
    s->v = s->v + c->eps;
    return p * c->keep - OVER(c->rate * s->m, SQRT(s->v));
#endif
}
#include "../rule_end.h"
