/* MADGRAD. Defazio & Jelassi, "Adaptivity without compromise", arXiv:2101.11075,
 * Algorithm 1.
 *     L = lr + eps (eps_in_lr, and lr not 0) or lr;  l = L sqrt(t)
 *     g <- g + weight_decay p                                      (unless decoupled)
 *     s <- s + l g,  v <- v + l g^2
 *     z = x0 - s / (cbrt(v) + eps), or x0 where the denominator is 0
 *     p <- momentum p + (1 - momentum) z  [- L weight_decay p if decoupled]
 * _moving: decoupled decay without momentum moves x0, so that it is not forgotten when
 * the next z takes the place of p:  x0 <- x0 - L weight_decay p,  p <- z
 * Differs from the authors' code in the cube root, which is correctly rounded, and in
 * _moving, where they keep no x0 but find it again from p, s and v, with a second root:
 * that drifts, and with eps = 0 is NaN from the first step. */
#define RULE madgrad
#define RULE_ROOT 1
#define RULE_STATE(X) X(v) X(s) X(x0)
#define RULE_COPIES(X) X(x0)
#if MOVING
#define RULE_HYPER(X) X(lr) X(eps) X(weight_decay) X(eps_in_lr)
#define RULE_COEF(X) X(l) X(eps) X(fade)
#else
#define RULE_HYPER(X) X(lr) X(momentum) X(eps) X(weight_decay) X(decoupled) X(eps_in_lr)
#define RULE_COEF(X) X(l) X(eps) X(decay) X(fade) X(near)
#endif
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double lr = h->eps_in_lr && h->lr != 0 ? h->lr + h->eps : h->lr;
    c->l = lr * sqrt(t);
    c->eps = h->eps;
#if MOVING
    c->fade = lr * h->weight_decay;
#else
    c->decay = h->decoupled ? 0 : h->weight_decay;
    c->fade = h->decoupled ? lr * h->weight_decay : 0;
    c->near = 1 - h->momentum;
#endif
}

RULE_FN T K(radicand)(T p, T g, STATE *s, const COEF *c)
{
#if MOVING
    (void)p;
#else
    g = g + c->decay * p;
#endif
    s->v = s->v + (c->l * g) * g;
    s->s = s->s + c->l * g;
    return s->v;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c, T root)
{
    (void)g;
#if MOVING
    s->x0 = s->x0 - c->fade * p;
#endif
    root = root + c->eps;
    const T z = s->x0 - (root == 0 ? 0 : s->s / root);
#if MOVING
    return z;
#else
    return p + c->near * (z - p) - c->fade * p;
#endif
}
#include "../rule_end.h"
