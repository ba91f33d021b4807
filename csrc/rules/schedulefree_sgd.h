/* Schedule-free SGD: schedulefree_move.h with d = g,
 *     gamma = lr min(1, t/warmup_steps),  beta = momentum
 * Differs from the authors' SGDScheduleFree only in rounding. */
#define RULE schedulefree_sgd
#define RULE_HYPER(X)                                                                  \
    X(lr) X(momentum) X(weight_decay) X(decay_at_z) X(warmup_steps) X(r)               \
    X(weight_lr_power)
#define RULE_STATE(X) X(z)
#define RULE_COPIES(X) X(z)
#define RULE_COEF(X) X(weight) X(back) X(rate) X(decay_y) X(decay_z)
#define RULE_SCALARS(X) X(weight_sum) X(lr_max)
#include "../rule_begin.h"

#include "schedulefree_move.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    const double warm = t < h->warmup_steps ? t / h->warmup_steps : 1;
    K(average)(h, t, h->momentum, h->lr * warm, kept, c);
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    return K(move)(p, g, s, c);
}
#include "../rule_end.h"
