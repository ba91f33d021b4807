/* Schedule-free AdamW: schedulefree_move.h with
 *     v <- beta2 v + (1 - beta2) g^2,  d = g / (sqrt(v/(1 - beta2^t)) + eps)
 *     gamma = lr min(1, t/warmup_steps),  beta = beta1
 * eps_hat: d = g / (sqrt(v) + eps) and gamma is times sqrt(1 - beta2^t), as in the
 * first version of the paper. _inner: m <- inner_momentum m + (1 - inner_momentum)
 * g, and m/(1 - inner_momentum^t) in the place of g in d. Differs from the authors'
 * AdamWScheduleFree only in rounding. */
#define RULE schedulefree_adamw
#if INNER
#define OWN(X, name) X(name)
#else
#define OWN(X, name)
#endif
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decay_at_z) X(warmup_steps) X(r)  \
    X(weight_lr_power) X(eps_hat)                                                      \
    OWN(X, inner_momentum)
#define RULE_STATE(X) X(z) X(v) OWN(X, m)
#define RULE_COPIES(X) X(z)
#define RULE_COEF(X)                                                                   \
    X(weight) X(back) X(rate) X(decay_y) X(decay_z) X(b2) X(a2) X(root) X(eps) OWN(    \
        X, b) OWN(X, a) OWN(X, lead)
#define RULE_SCALARS(X) X(weight_sum) X(lr_max)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

#include "schedulefree_move.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    const double warm = t < h->warmup_steps ? t / h->warmup_steps : 1;
    const double root = sqrt(1 - powi(h->beta2, t));
    K(average)(h, t, h->beta1, h->lr * warm * (h->eps_hat ? root : 1), kept, c);
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->root = h->eps_hat ? 1 : 1 / root;
    c->eps = h->eps;
#if INNER
    c->b = h->inner_momentum;
    c->a = 1 - h->inner_momentum;
    c->lead = 1 / (1 - powi(h->inner_momentum, t));
#endif
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->v = c->b2 * s->v + (c->a2 * g) * g;
#if INNER
    s->m = c->b * s->m + c->a * g;
    g = c->lead * s->m;
#endif
    return K(move)(p, OVER(g, SQRT(s->v) * c->root + c->eps), s, c);
}
#include "../rule_end.h"
#undef OWN
