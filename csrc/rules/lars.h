/* LARS. You, Gitman & Ginsburg, "Large batch training of convolutional networks",
 * arXiv:1708.03888, Algorithm 1.
 *     local = trust_coefficient |p| / (|g| + weight_decay |p| + eps)
 *     b <- momentum b + lr local (g + weight_decay p),  p <- p - b         (lr_inside)
 *     b <- momentum b + local (g + weight_decay p),     p <- p - lr b          (else)
 * Norms are those of one tensor; local is 1 where |p| or |g| is 0, or without adapt.
 * norm_of_sum: |g + weight_decay p| in the place of the two, as in optax.lars. */
#define RULE lars
#define RULE_HYPER(X)                                                                  \
    X(lr) X(momentum) X(weight_decay) X(trust_coefficient) X(eps) X(norm_of_sum)       \
    X(lr_inside) X(adapt)
#define RULE_STATE(X) X(b)
#define RULE_COEF(X) X(decay) X(mixed) X(momentum) X(size) X(in) X(out)
#define RULE_SUMS(X) X(p) X(g)
#define RULE_SQUARES 1
#define RULE_ROLLED 1
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)t;
    const double decayed = h->norm_of_sum ? 0 : h->weight_decay * sum->p;
    const double whole = sum->g + decayed + h->eps;
    const bool trusted = h->adapt && sum->p != 0 && sum->g != 0;
    const double local = trusted ? h->trust_coefficient * sum->p / whole : 1;
    c->decay = h->weight_decay;
    c->mixed = h->norm_of_sum ? h->weight_decay : 0;
    c->momentum = h->momentum;
    const double in = h->lr_inside ? h->lr * local : local;
    c->size = half_of(in); /* local is as large as g is small */
    c->in = in / c->size;
    c->out = h->lr_inside ? 1 : h->lr;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)s;
    term->p = p;
    term->g = g + c->mixed * p;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->b = c->momentum * s->b + c->in * (c->size * (g + c->decay * p));
    return p - c->out * s->b;
}
#include "../rule_end.h"
