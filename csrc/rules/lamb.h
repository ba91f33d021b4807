/* LAMB. You et al., "Large batch optimization for deep learning", arXiv:1904.00962,
 * Algorithm 2, with phi(z) = z.
 *     g <- g + weight_decay p                                      (unless decoupled)
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     u = m/(1 - beta1^t) / (sqrt(v/(1 - beta2^t)) + eps)
 *         [+ weight_decay p if decoupled]
 *     p <- p - lr |p|/|u| u
 * Norms are those of one tensor; the ratio is 1 where either is 0, or without adapt.
 * Without bias_correction, m and v as they are. u is computed twice rather than
 * kept. The ratio may leave the range of float, so it goes by two coefficients. */
#define RULE lamb
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled) X(bias_correction)     \
    X(adapt)
#define RULE_STATE(X) X(m) X(v)
#define RULE_COEF(X)                                                                   \
    X(b1) X(a1) X(b2) X(a2) X(decay) X(lead) X(root) X(eps) X(pull) X(size) X(rate)
#define RULE_SUMS(X) X(p) X(u)
#define RULE_SQUARES 1
#define RULE_ADVANCES 1
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    const bool trusted = h->adapt && sum->p != 0 && sum->u != 0;
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->decay = h->decoupled ? 0 : h->weight_decay;
    c->pull = h->decoupled ? h->weight_decay : 0;
    c->lead = h->bias_correction ? 1 / (1 - powi(h->beta1, t)) : 1;
    c->root = h->bias_correction ? 1 / sqrt(1 - powi(h->beta2, t)) : 1;
    c->eps = h->eps;
    const double rate = h->lr * (trusted ? sum->p / sum->u : 1);
    c->size = half_of(rate);
    c->rate = rate / c->size;
}

RULE_FN T K(direction)(T p, const STATE *s, const COEF *c)
{
    return OVER(c->lead * s->m, SQRT(s->v) * c->root + c->eps) + c->pull * p;
}

RULE_FN void K(advance)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)g;
    term->p = p;
    term->u = K(direction)(p, s, c);
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    (void)g;
    return p - c->rate * (c->size * K(direction)(p, s, c));
}
#include "../rule_end.h"
