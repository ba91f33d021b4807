/* Adadelta. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701,
 * Algorithm 1, with torch's lr (1 in the paper).
 *     g <- g + weight_decay p
 *     v <- rho v + (1 - rho) g^2
 *     d <- sqrt(u + eps) / sqrt(v + eps) g
 *     u <- rho u + (1 - rho) d^2
 *     p <- p - lr d
 * Differs from torch.optim.Adadelta only in rounding. */
#define RULE adadelta
#define RULE_HYPER(X) X(lr) X(rho) X(eps) X(weight_decay)
#define RULE_STATE(X) X(v) X(u)
#define RULE_COEF(X) X(lr) X(b) X(a) X(eps) X(decay)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->lr = h->lr;
    c->b = h->rho;
    c->a = 1 - h->rho;
    c->eps = h->eps;
    c->decay = h->weight_decay;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->v = c->b * s->v + (c->a * g) * g;
    const T d = (SQRT(s->u + c->eps) / DIVISOR(SQRT(s->v + c->eps), g)) * g;
    s->u = c->b * s->u + (c->a * d) * d;
    return p - c->lr * d;
}
#include "../rule_end.h"
