/* MADGRAD. Defazio & Jelassi, "Adaptivity without compromise", arXiv:2101.11075,
 * Algorithm 1.
 *     L = lr + eps (eps_in_lr, and lr not 0) or lr;  l = L sqrt(t)
 *     g <- g + weight_decay p                                      (unless decoupled)
 *     s <- s + l g,  v <- v + l g^2
 *     z = x0 - s / (cbrt(v) + eps), or x0 where the denominator is 0
 *     p <- momentum p + (1 - momentum) z  [- L weight_decay p if decoupled]
 * _dual: without momentum, p is z. x0 is not kept but found again from p, s and v.
 * Differs from the authors' code in the cube root, which is correctly rounded, and in
 * _dual with eps = 0, where theirs is NaN from the first step. */
#define RULE madgrad
#if DUAL
#define RULE_HYPER(X) X(lr) X(eps) X(weight_decay) X(decoupled) X(eps_in_lr)
#define RULE_STATE(X) X(v) X(s)
#define RULE_COEF(X) X(l) X(eps) X(decay) X(fade)
#else
#define RULE_HYPER(X) X(lr) X(momentum) X(eps) X(weight_decay) X(decoupled) X(eps_in_lr)
#define RULE_STATE(X) X(v) X(s) X(x0)
#define RULE_COPIES(X) X(x0)
#define RULE_COEF(X) X(l) X(eps) X(decay) X(fade) X(near)
#endif
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double lr = h->eps_in_lr && h->lr != 0 ? h->lr + h->eps : h->lr;
    c->l = lr * sqrt(t);
    c->eps = h->eps;
    c->decay = h->decoupled ? 0 : h->weight_decay;
    c->fade = h->decoupled ? lr * h->weight_decay : 0;
#if !DUAL
    c->near = 1 - h->momentum;
#endif
}

RULE_FN T K(away)(const STATE *s, const COEF *c)
{
    const T root = CBRT(s->v) + c->eps;
    return root == 0 ? 0 : s->s / root;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
#if DUAL
    const T x0 = p + K(away)(s, c);
#endif
    g = g + c->decay * p;
    s->v = s->v + (c->l * g) * g;
    s->s = s->s + c->l * g;
#if DUAL
    return x0 - K(away)(s, c) - c->fade * p;
#else
    const T z = s->x0 - K(away)(s, c);
    return p + c->near * (z - p) - c->fade * p;
#endif
}
#include "../rule_end.h"
