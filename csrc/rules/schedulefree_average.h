/* Schedule-free averaging around any rule that has moved z; the parameter is y.
 * Defazio et al., "The road less scheduled", arXiv:2405.15682, equations 1 and 3; c by
 * averaging() in host_math.h.
 *     x <- x + c (z - x),  y <- x + (1 - momentum) (z - x)
 * Differs from the authors' ScheduleFreeWrapperReference only in rounding. */
#define RULE schedulefree_average
#define RULE_HYPER(X) X(lr) X(momentum) X(r) X(weight_lr_power)
#define RULE_STATE(X) X(x) X(z)
#define RULE_COEF(X) X(weight) X(near)
#define RULE_SCALARS(X) X(weight_sum) X(lr_max)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    c->weight =
        averaging(&kept->weight_sum, &kept->lr_max, h->lr, t, h->r, h->weight_lr_power);
    c->near = 1 - h->momentum;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    (void)p, (void)g;
    s->x = s->x + c->weight * (s->z - s->x);
    return s->x + c->near * (s->z - s->x);
}
#include "../rule_end.h"
