/* Adam. Kingma & Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980,
 * Algorithm 1.
 *     g <- g + weight_decay p                                   (adam)
 *     p <- (1 - lr weight_decay) p                              (adamw, see adamw.h)
 *     m <- beta1 m + (1 - beta1) g
 *     v <- beta2 v + (1 - beta2) g^2
 *     p <- p - lr/(1 - beta1^t) m / (sqrt(v)/sqrt(1 - beta2^t) + eps)
 * _amsgrad: Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018,
 * Algorithm 2: vmax <- max(vmax, v) takes the place of v under the root.
 * Differs from torch.optim.Adam and AdamW only in rounding; like torch, and unlike the
 * paper, _amsgrad corrects the bias of vmax.
 * Design: the root is multiplied by 1/sqrt(1 - beta2^t), rounded once, not divided by
 * its inverse. Both round twice; the division costs 4 % of a step in cache, 1 % in
 * DRAM. */
#ifndef DECOUPLED
#define RULE adam
#define DECOUPLED 0
#endif
#define RULE_HYPER(X) X(lr) X(beta1) X(beta2) X(eps) X(weight_decay)
#if AMSGRAD
#define RULE_STATE(X) X(m) X(v) X(vmax)
#else
#define RULE_STATE(X) X(m) X(v)
#endif
#define RULE_COEF(X) X(b1) X(a1) X(b2) X(a2) X(decay) X(keep) X(rate) X(root) X(eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    c->b1 = h->beta1;
    c->a1 = 1 - h->beta1;
    c->b2 = h->beta2;
    c->a2 = 1 - h->beta2;
    c->decay = h->weight_decay;
    c->keep = 1 - h->lr * h->weight_decay;
    c->rate = h->lr / (1 - powi(h->beta1, t));
    c->root = 1 / sqrt(1 - powi(h->beta2, t));
    c->eps = h->eps;
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
    s->vmax = MAX(s->vmax, s->v);
    const T v = s->vmax;
#else
    const T v = s->v;
#endif
    return p - (c->rate * s->m) / (SQRT(v) * c->root + c->eps);
}
#include "../rule_end.h"
#undef DECOUPLED
