/* The point w + momentum z at which Nesterov's method takes its gradient.
 * Nesterov, 1983; Sutskever et al., ICML 2013, equation 3. No update of its own: it
 * reads w where other rules read the gradient and writes the point where they write p,
 * so that the parameter itself is never moved and never has to be moved back. */
#define RULE sgd_lookahead
#define RULE_HYPER(X) X(momentum)
#define RULE_STATE(X) X(z)
#define RULE_COEF(X) X(momentum)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->momentum = h->momentum;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    (void)p;
    return g + c->momentum * s->z;
}
#include "../rule_end.h"
