/* RMSprop. Tieleman & Hinton, "Neural networks for machine learning", lecture 6e, 2012;
 * _centered and _inside: Graves, arXiv:1308.0850, equations 38 to 45.
 *     g <- g + weight_decay p
 *     v <- alpha v + (1 - alpha) g^2
 *     gbar <- alpha gbar + (1 - alpha) g, and v - gbar^2 under the root    (_centered)
 *     d <- g / (sqrt(v) + eps), or g / sqrt(v + eps)                        (_inside)
 *     p <- p - lr d, or b <- momentum b + d and p <- p - lr b             (_momentum)
 * Unlike torch's, the centered variance is 0 where rounding makes it negative. */
#define RULE rmsprop
#if MOMENTUM
#define WITH_B(X, name) X(name)
#else
#define WITH_B(X, name)
#endif
#if CENTERED
#define WITH_GBAR(X) X(gbar)
#else
#define WITH_GBAR(X)
#endif
#define RULE_HYPER(X) X(lr) X(alpha) X(eps) X(weight_decay) WITH_B(X, momentum)
#define RULE_STATE(X) X(v) WITH_GBAR(X) WITH_B(X, b)
#define RULE_COEF(X) X(lr) X(b) X(a) X(eps) X(decay) WITH_B(X, momentum)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->lr = h->lr;
    c->b = h->alpha;
    c->a = 1 - h->alpha;
    c->eps = h->eps;
    c->decay = h->weight_decay;
#if MOMENTUM
    c->momentum = h->momentum;
#endif
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->v = c->b * s->v + (c->a * g) * g;
    T v = s->v;
#if CENTERED
    s->gbar = c->b * s->gbar + c->a * g;
    v = MAX(v - s->gbar * s->gbar, 0);
#endif
#if INSIDE
    T d = g / SQRT(v + c->eps);
#else
    T d = g / (SQRT(v) + c->eps);
#endif
#if MOMENTUM
    d = s->b = c->momentum * s->b + d;
#endif
    return p - c->lr * d;
}
#include "../rule_end.h"
#undef WITH_B
#undef WITH_GBAR
