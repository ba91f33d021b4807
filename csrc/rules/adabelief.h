/* AdaBelief. Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in
 * observed gradients", arXiv:2010.07468, Algorithm 2, and rectified as in their code.
 *     g <- g + weight_decay p,  or if decoupled  p <- (1 - lr weight_decay) p,
 *                               or if fixed too  p <- (1 - weight_decay) p
 *     m <- beta1 m + (1 - beta1) g
 *     s <- beta2 s + (1 - beta2) (g - m)^2 + eps_acc
 *     smax <- max(smax, s), in the place of s below                       (_amsgrad)
 *     p <- p - lr m/(1 - beta1^t) / (sqrt(s)/sqrt(1 - beta2^t) + eps)
 * rectify: times RAdam's r_t, with eps before the correction, where rho_t >= 5; below
 *     p <- p - lr m/(1 - beta1^t) if degenerated, else p stays
 * Unlike the authors' code, _amsgrad is honoured when rectified too. */
#define RULE adabelief
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps_acc) X(eps) X(weight_decay) X(decoupled) X(fixed)    \
    X(rectify) X(degenerated)
#if AMSGRAD
#define RULE_STATE(X) X(m) X(s) X(smax)
#else
#define RULE_STATE(X) X(m) X(s)
#endif
#define RULE_COEF(X)                                                                   \
    X(b1) X(a1) X(b2) X(a2) X(acc) X(decay) X(keep) X(rate) X(root) X(floor)
#define RULE_LEAST_DIVISOR(c) ((c)->floor)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double root = sqrt(1 - powi(h->beta2, t));
    const double r = h->rectify ? rectification(h->beta2, t, 5, true) : 1;
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->acc = h->eps_acc;
    SET_DECAY(h, c);
    if (h->decoupled && h->fixed)
        c->keep = 1 - h->weight_decay;
    c->rate = h->lr / (1 - powi(h->beta1, t));
    if (h->rectify) /* where r is 0, the denominator is 1 */
        c->rate *= r > 0 ? r * root : h->degenerated;
    c->root = !h->rectify ? 1 / root : r > 0;
    c->floor = r > 0 ? h->eps : 1;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->m = c->b1 * s->m + c->a1 * g;
    const T q = g - s->m;
    s->s = c->b2 * s->s + (c->a2 * q) * q + c->acc;
#if AMSGRAD
    s->smax = MAX(s->smax, s->s);
    return p * c->keep - OVER(c->rate * s->m, SQRT(s->smax) * c->root + c->floor);
#else
    return p * c->keep - OVER(c->rate * s->m, SQRT(s->s) * c->root + c->floor);
#endif
}
#include "../rule_end.h"
