/* Adam. Kingma & Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980,
 * Algorithm 1.
 *     g <- g + weight_decay p                                   (adam)
 *     p <- (1 - lr weight_decay) p, or (1 - weight_decay) p if fixed   (adamw.h)
 *     m <- beta1 m + (1 - beta1) g
 *     v <- beta2 v + (1 - beta2) g^2
 *     p <- p - lr/bc1 m / (sqrt(v/bc2 + eps_root) + eps)
 * with bc = 1 - beta^t, or 1 without bias_correction; eps/sqrt(bc2) for eps if
 * eps_hat.
 * _amsgrad: Reddi, Kale & Kumar, "On the convergence of Adam and beyond",
 * ICLR 2018, Algorithm 2: vmax <- max(vmax, v) takes the place of v under the root,
 * as in torch, or max(vmax, v/bc2) that of v/bc2 if max_corrected, as in optax.
 * Design: the root is multiplied by 1/sqrt(bc2): dividing rounds no less (SPEED.md). */
#ifndef DECOUPLED
#define RULE adam
#define DECOUPLED 0
#endif
#if DECOUPLED
#define OWN(X) X(fixed)
#else
#define OWN(X)
#endif
#if AMSGRAD
#define IF_MAX(X, name) X(name)
#else
#define IF_MAX(X, name)
#endif
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(eps) X(eps_root) X(eps_hat) X(bias_correction)           \
    X(weight_decay)                                                                    \
    OWN(X) IF_MAX(X, max_corrected)
#define RULE_STATE(X) X(m) X(v) IF_MAX(X, vmax)
#define RULE_COEF(X)                                                                   \
    X(b1) X(a1) X(b2) X(a2) X(decay) X(keep) X(rate) X(under) X(root) X(eps) IF_MAX(   \
        X, scale)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double bc2 = h->bias_correction ? 1 - powi(h->beta2, t) : 1;
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->decay = h->weight_decay;
#if DECOUPLED
    c->keep = 1 - (h->fixed ? 1 : h->lr) * h->weight_decay;
#endif
    c->rate = h->lr / (h->bias_correction ? 1 - powi(h->beta1, t) : 1);
    c->under = h->eps_root * bc2;
    c->root = 1 / sqrt(bc2);
    c->eps = h->eps_hat ? h->eps * c->root : h->eps;
#if AMSGRAD
    c->scale = h->max_corrected ? 1 / bc2 : 1;
    c->under = h->max_corrected ? h->eps_root : c->under;
    c->root = h->max_corrected ? 1 : c->root;
#endif
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
#if DECOUPLED
    p = p * c->keep;
#else
    g = g + c->decay * p;
#endif
    s->m = c->b1 * s->m + c->a1 * g;
    s->v = c->b2 * s->v + (c->a2 * g) * g;
#if AMSGRAD
    const T v = s->vmax = MAX(s->vmax, s->v * c->scale);
#else
    const T v = s->v;
#endif
    return p - OVER(c->rate * s->m, SQRT(v + c->under) * c->root + c->eps);
}
#include "../rule_end.h"
#undef DECOUPLED
#undef OWN
#undef IF_MAX
