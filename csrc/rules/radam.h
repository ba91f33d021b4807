/* RAdam. Liu et al., "On the variance of the adaptive learning rate and beyond",
 * arXiv:1908.03265, Algorithm 2.
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     mhat = m/(1 - beta1^t),  vhat = v/(1 - beta2^t)
 *     p <- p - lr r_t mhat / (sqrt(vhat) + eps)          rho_t above (or at) threshold
 *     p <- p - lr mhat, or nothing, nor any decay of p                      else
 * eps_hat: eps is added to sqrt(v), and the sum corrected, as in torch.optim.RAdam. The
 * authors' code has threshold 5, inclusive, and does nothing below it. */
#define RULE radam
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled) X(threshold)           \
    X(inclusive) X(momentum_below) X(eps_hat)
#define RULE_STATE(X) X(m) X(v)
#define RULE_COEF(X) X(b1) X(a1) X(b2) X(a2) X(decay) X(keep) X(rate) X(root) X(floor)
#define RULE_LEAST_DIVISOR(c) ((c)->floor)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double bc1 = 1 - powi(h->beta1, t), root = sqrt(1 - powi(h->beta2, t));
    const double r = rectification(h->beta2, t, h->threshold, h->inclusive != 0);
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    SET_DECAY(h, c);
    c->rate = h->lr * r / bc1 * (h->eps_hat ? root : 1);
    c->root = h->eps_hat ? 1 : 1 / root;
    c->floor = h->eps;
    if (r == 0) { /* no root: the denominator is 1 */
        c->rate = h->momentum_below ? h->lr / bc1 : 0;
        c->keep = h->momentum_below ? c->keep : 1;
        c->root = 0;
        c->floor = 1;
    }
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
    return p * c->keep - OVER(c->rate * s->m, SQRT(s->v) * c->root + c->floor);
}
#include "../rule_end.h"
