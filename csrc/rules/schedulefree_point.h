/* A point between two iterates of schedule-free descent, y + weight (z - y): the
 * average x for weight = 1 - 1/beta. No update of its own: it reads y where other
 * rules read the gradient and writes the point where they write p, so that y is
 * never moved. */
#define RULE schedulefree_point
#define RULE_HYPER(X) X(weight)
#define RULE_STATE(X) X(z)
#define RULE_COEF(X) X(weight)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->weight = h->weight;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    (void)p;
    return g + c->weight * (s->z - g);
}
#include "../rule_end.h"
