/* RMSprop. Tieleman & Hinton, "Neural networks for machine learning", lecture 6e, 2012;
 * _centered and _inside: Graves, arXiv:1308.0850, equations 38 to 45.
 *     g <- g + weight_decay p
 *     v <- alpha v + (1 - alpha) g^2
 *     gbar <- alpha gbar + (1 - alpha) g, and v - gbar^2 under the root    (_centered)
 *     d <- g / (sqrt(v) + eps), or g / sqrt(v + eps)                        (_inside)
 *     p <- p - lr d, or  b <- momentum b + d,  p <- p - lr b,             (_momentum)
 *     or b <- momentum b + lr d, p <- p - b (lr_inside); nesterov: d + momentum b for b
 * bias_correction: v and gbar divided by 1 - alpha^t, as in optax; of the first variance
 * exactly initial alpha / (1 - alpha) is left then, where initial is v at the start.
 * Unlike torch's, the centered variance is 0 where rounding makes it negative. */
#define RULE rmsprop
#if MOMENTUM
#define IF_B(X, name) X(name)
#else
#define IF_B(X, name)
#endif
#if CENTERED
#define IF_CENTERED(X, name) X(name)
#else
#define IF_CENTERED(X, name)
#endif
#define RULE_HYPER(X)                                                                  \
    X(lr) X(alpha) X(eps) X(weight_decay) X(bias_correction) IF_B(X, momentum)         \
        IF_B(X, lr_inside) IF_B(X, nesterov) IF_CENTERED(X, initial)
#define RULE_STATE(X) X(v) IF_CENTERED(X, gbar) IF_B(X, b)
#define RULE_COEF(X)                                                                   \
    X(out) X(b) X(a) X(eps) X(decay) X(scale) IF_B(X, momentum) IF_B(X, in)            \
        IF_B(X, near) IF_B(X, far) IF_CENTERED(X, lead) IF_CENTERED(X, least)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->out = h->lr;
    c->b = h->alpha;
    c->a = 1 - h->alpha;
    c->eps = h->eps;
    c->decay = h->weight_decay;
    c->scale = h->bias_correction ? 1 / (1 - powi(h->alpha, t)) : 1;
#if CENTERED
    const bool known = h->bias_correction && t == 1; /* the variance */
    c->lead = c->scale;
    c->scale = known ? 0 : c->scale;
    c->least = known ? h->initial * h->alpha / (1 - h->alpha) : 0;
#endif
#if MOMENTUM
    c->momentum = h->momentum;
    c->in = h->lr_inside ? h->lr : 1;
    c->out = h->lr_inside ? 1 : h->lr;
    c->near = h->nesterov;
    c->far = h->nesterov ? h->momentum : 1;
#endif
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->v = c->b * s->v + (c->a * g) * g;
    T v = s->v * c->scale;
#if CENTERED
    s->gbar = c->b * s->gbar + c->a * g;
    const T mean = s->gbar * c->lead;
    v = MAX(v - mean * mean, c->least);
#endif
#if INSIDE
    T d = OVER(g, SQRT(v + c->eps));
#else
    T d = OVER(g, SQRT(v) + c->eps);
#endif
#if MOMENTUM
    d = c->in * d;
    s->b = c->momentum * s->b + d;
    d = c->near * d + c->far * s->b;
#endif
    return p - c->out * d;
}
#include "../rule_end.h"
#undef IF_B
#undef IF_CENTERED
