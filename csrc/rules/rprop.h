/* Rprop. Riedmiller & Braun, "A direct adaptive method for faster backpropagation
 * learning: the RPROP algorithm", ICNN 1993; the variants by the names of Igel &
 * Huesken, "Improving the Rprop learning algorithm", NC 2000.
 *     size <- clamp(size * (eta_plus, eta_minus or 1 by the sign of g * prev))
 *     p <- p - sign(g) size,  prev <- g
 * and where the sign of the gradient has changed
 *     iRprop-: p stays, prev <- 0        _minus (Rprop-): nothing else
 *     _plus (Rprop+): the last step is undone, prev <- 0
 * iRprop- is torch.optim.Rprop up to rounding. As there, a product that underflows
 * counts as 0. */
#define RULE rprop
#define RULE_HYPER(X) X(eta_minus) X(eta_plus) X(step_min) X(step_max)
#define RULE_STATE(X) X(prev) X(step_size)
#define RULE_COEF(X) X(down) X(up) X(least) X(most)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->down = h->eta_minus;
    c->up = h->eta_plus;
    c->least = h->step_min;
    c->most = h->step_max;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    const T turn = g * s->prev, last = s->step_size;
    const T factor = turn > 0 ? c->up : turn < 0 ? c->down : 1;
    T size = last * factor;
    size = size < c->least ? c->least : size; /* NaN stays */
    size = size > c->most ? c->most : size;
    s->step_size = size;
    const T next = p - SIGN(g) * size;
#if MINUS
    s->prev = g;
    return next;
#else
#if PLUS
    p = p + SIGN(s->prev) * last;
#endif
    s->prev = turn < 0 ? 0 : g;
    return turn < 0 ? p : next;
#endif
}
#include "../rule_end.h"
