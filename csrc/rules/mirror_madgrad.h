/* MirrorMADGRAD, by the authors of MADGRAD; in their code, not in the paper.
 *     L = lr + eps (eps_in_lr, and lr not 0) or lr
 *     z <- (1 - L weight_decay) z if decoupled, else g <- g + weight_decay p
 *     v <- sqrt((t - 1)/t) v + g^2
 *     z <- z - L cbrt(t) g / (cbrt(v) + eps), or z where the denominator is 0
 *     p <- momentum p + (1 - momentum) z
 * Differs from the authors' code in the cube root, which is correctly rounded. */
#define RULE mirror_madgrad
#define RULE_ROOT 1
#define RULE_HYPER(X) X(lr) X(momentum) X(eps) X(weight_decay) X(decoupled) X(eps_in_lr)
#define RULE_STATE(X) X(v) X(z)
#define RULE_COPIES(X) X(z)
#define RULE_COEF(X) X(l) X(past) X(eps) X(decay) X(keep) X(near)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    const double lr = h->eps_in_lr && h->lr != 0 ? h->lr + h->eps : h->lr;
    c->l = lr * gs_cbrt(t);
    c->past = sqrt((t - 1) / t);
    c->eps = h->eps;
    c->decay = h->decoupled ? 0 : h->weight_decay;
    c->keep = h->decoupled ? 1 - lr * h->weight_decay : 1;
    c->near = 1 - h->momentum;
}

RULE_FN T K(radicand)(T p, T g, STATE *s, const COEF *c)
{
    g = g + c->decay * p;
    s->v = c->past * s->v + g * g;
    return s->v;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c, T root)
{
    g = g + c->decay * p;
    root = root + c->eps;
    s->z = s->z * c->keep - (root == 0 ? 0 : (c->l * g) / root);
    return p + c->near * (s->z - p);
}
#include "../rule_end.h"
