/* Gradient descent with a velocity, in which every gradient keeps the lr of its own
 * step.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     z <- momentum z - lr g
 *     p <- p + z
 * Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum
 * in deep learning", ICML 2013, equations 1 and 2. With g taken at p + momentum z
 * (sgd_lookahead.h) it is Nesterov's method, equations 3 and 4. Equals sgd_momentum
 * with z = -lr b while lr is constant and dampening is 0. */
#define RULE sgd_velocity
#define RULE_HYPER(X) X(lr) X(momentum) X(weight_decay) X(decoupled)
#define RULE_STATE(X) X(z)
#define RULE_COEF(X) X(lr) X(decay) X(keep) X(momentum)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->lr = h->lr;
    SET_DECAY(h, c);
    c->momentum = h->momentum;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->z = c->momentum * s->z - c->lr * g;
    return p * c->keep + s->z;
}
#include "../rule_end.h"
