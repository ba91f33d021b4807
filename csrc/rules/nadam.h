/* NAdam. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
 *     mu_t = beta1 (1 - warm 0.96^(t momentum_decay)),  P_t = mu_1 ... mu_t
 *     g <- g + weight_decay p,  or  p <- (1 - lr weight_decay) p if decoupled
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     p <- p - lr ((1 - mu_t)/(1 - P_t) g + mu_(t+1)/(1 - P_(t+1)) m)
 *     / (sqrt(v/(1 - beta2^t)) + eps)
 * dozat: as in the paper, m has mu_t for beta1, and v in the root is times beta2.
 * warm is 1/2 there and in torch.optim.NAdam; 0 gives optax.nadam. */
#define RULE nadam
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(weight_decay) X(decoupled) X(momentum_decay)      \
    X(warm) X(dozat)
#define RULE_STATE(X) X(m) X(v)
#define RULE_COEF(X)                                                                   \
    X(b1) X(a1) X(b2) X(a2) X(decay) X(keep) X(rate_g) X(rate_m) X(root) X(eps)
#define RULE_SCALARS(X) X(mu_product)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

/* mu at step t; ln 0.96 is -0.0408... */
RULE_HOST double K(mu)(const HYPER *h, double t)
{
    const double cooled = exponential(t * h->momentum_decay * -0.040821994520255166);
    return h->beta1 * (1 - h->warm * cooled);
}

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    const double mu = K(mu)(h, t), next = K(mu)(h, t + 1);
    kept->mu_product = t == 1 ? mu : kept->mu_product * mu;
    c->b1 = h->dozat ? mu : h->beta1;
    c->a1 = 1 - c->b1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    SET_DECAY(h, c);
    c->rate_g = h->lr * (1 - mu) / (1 - kept->mu_product);
    c->rate_m = h->lr * next / (1 - kept->mu_product * next);
    c->root = sqrt((h->dozat ? h->beta2 : 1) / (1 - powi(h->beta2, t)));
    c->eps = h->eps;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
    const T ahead = c->rate_g * g + c->rate_m * s->m;
    return p * c->keep - OVER(ahead, SQRT(s->v) * c->root + c->eps);
}
#include "../rule_end.h"
