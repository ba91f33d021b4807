/* Padam. Chen et al., "Closing the generalization gap of adaptive gradient methods in
 * training deep neural networks", arXiv:1806.06763, Algorithm 1: Adam, _amsgrad or not,
 * with the root raised to a power 2q of 1 (_half), 1/2 (_quarter) or 1/4 (_eighth).
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     vmax <- max(vmax, v), in the place of v below                       (_amsgrad)
 *     p <- p - lr sqrt(1 - beta2^t)/(1 - beta1^t) m / (sqrt(v) + eps)^(2q)
 * Without bias_correction, as in the paper, the step size is lr. The authors' code
 * corrects by the root whatever the power. */
#define RULE padam
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled) X(bias_correction)
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
    const double correction = sqrt(1 - powi(h->beta2, t)) / (1 - powi(h->beta1, t));
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    SET_DECAY(h, c);
    c->rate = h->lr * (h->bias_correction ? correction : 1);
    c->eps = h->eps;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
#if AMSGRAD
    s->vmax = MAX(s->vmax, s->v);
    T d = SQRT(s->vmax) + c->eps;
#else
    T d = SQRT(s->v) + c->eps;
#endif
#if QUARTER
    d = SQRT(d);
#elif EIGHTH
    d = SQRT(SQRT(d));
#endif
    return p * c->keep - OVER(c->rate * s->m, d);
}
#include "../rule_end.h"
