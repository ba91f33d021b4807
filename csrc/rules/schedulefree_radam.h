/* Schedule-free RAdam: schedulefree_move.h with
 *     v <- beta2 v + (1 - beta2) g^2,  d = g / (sqrt(v/(1 - beta2^t)) + eps)
 *     gamma = lr r_t,  beta = beta1
 * with RAdam's r_t where rho_t > 4; below, d = g and gamma = lr, or 0 if silent.
 * Differs from the authors' RAdamScheduleFree only in rounding. */
#define RULE schedulefree_radam
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decay_at_z) X(r)                  \
    X(weight_lr_power) X(silent)
#define RULE_STATE(X) X(z) X(v)
#define RULE_COPIES(X) X(z)
#define RULE_COEF(X)                                                                   \
    X(weight) X(back) X(rate) X(decay_y) X(decay_z) X(b2) X(a2) X(root) X(floor)
#define RULE_SCALARS(X) X(weight_sum) X(lr_max)
#define RULE_LEAST_DIVISOR(c) ((c)->floor)
#include "../rule_begin.h"

#include "schedulefree_move.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    const double r = rectification(h->beta2, t, 4, false);
    const double early = h->silent ? 0 : h->lr;
    K(average)(h, t, h->beta1, r > 0 ? h->lr * r : early, kept, c);
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->root = r > 0 ? 1 / sqrt(1 - powi(h->beta2, t)) : 0;
    c->floor = r > 0 ? h->eps : 1;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->v = c->b2 * s->v + (c->a2 * g) * g;
    return K(move)(p, OVER(g, SQRT(s->v) * c->root + c->floor), s, c);
}
#include "../rule_end.h"
