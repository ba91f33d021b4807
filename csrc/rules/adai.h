/* Adai. Xie et al., "Adaptive inertia: disentangling the effects of adaptive learning
 * rate and momentum", arXiv:2006.15815, Algorithm 2.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     v <- beta2 v + (1 - beta2) g^2,  vhat = v/(1 - beta2^t)
 *     b = clamp(1 - beta0 vhat / mean(vhat), 0, 1 - eps)
 *     product <- product b                                            (1 at first)
 *     m <- b m + (1 - b) g
 *     p <- p - lr m / (1 - product)
 * The mean is over all elements of all tensors.
 * Differs from the authors' code only in rounding. */
#define RULE adai
#define RULE_HYPER(X) X(lr) X(beta0) X(beta2) X(eps) X(weight_decay) X(decoupled)
#define RULE_STATE(X) X(m) X(v) X(product)
#define RULE_COEF(X)                                                                   \
    X(b2) X(a2) X(decay) X(keep) X(unit) X(size) X(beta0) X(most) X(going) X(lr)
#define RULE_SUMS(X) X(v) X(count)
#define RULE_ADVANCES 1
#define RULE_ACROSS
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    SET_DECAY(h, c);
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->unit = 1 / (1 - powi(h->beta2, t));
    const double mean = sum->v / sum->count;
    c->size = 1 / half_of(mean); /* v may be as small as the mean */
    c->beta0 = mean != 0 ? h->beta0 / (mean * c->size) : 0;
    c->most = 1 - h->eps;
    c->going = t > 1;
    c->lr = h->lr;
}

RULE_FN void K(advance)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)p, (void)g;
    term->v = s->v * c->unit;
    term->count = 1;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    const T share = c->beta0 * (c->size * (s->v * c->unit));
    const T b = MIN(MAX(1 - share, 0), c->most);
    s->product = (c->going * s->product + (1 - c->going)) * b;
    s->m = b * s->m + (1 - b) * g;
    return p * c->keep - (c->lr * s->m) / (1 - s->product);
}
#include "../rule_end.h"
