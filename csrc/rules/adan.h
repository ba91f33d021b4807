/* Adan. Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
 * optimizing deep models", arXiv:2208.06677, Algorithm 1; betas as in their code, 1
 * minus the paper's.
 *     p <- (1 - lr weight_decay) p                                    (unless prox)
 *     d = g - prev, 0 at the first step;  prev <- g
 *     m <- beta1 m + (1 - beta1) g,  w <- beta2 w + (1 - beta2) d
 *     n <- beta3 n + (1 - beta3) (g + beta2 d)^2
 *     p <- p - lr (m/(1 - beta1^t) + beta2 w/(1 - beta2^t))
 *              / (sqrt(n)/sqrt(1 - beta3^t) + eps)
 *     p <- p / (1 + lr weight_decay)                                        (prox)
 * paper: averages start at their first values, m = g, n = g^2, and at step 2 w = d,
 * without bias corrections. Otherwise as the authors' code, up to rounding. */
#define RULE adan
#define RULE_HYPER(X)                                                                  \
    X(lr) X(beta1) X(beta2) X(beta3) X(eps) X(weight_decay) X(prox) X(paper)
#define RULE_STATE(X) X(m) X(w) X(n) X(prev)
#define RULE_SCALARS(X) X(path) /* kept by the caller, for the restart condition */
#define RULE_COEF(X)                                                                   \
    X(b1) X(a1) X(b2) X(a2) X(b3) X(a3) X(differ) X(mix) X(rate_m) X(rate_w) X(root)   \
    X(eps) X(keep) X(shrink)
#define RULE_LEAST_DIVISOR(c) ((c)->eps)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, SCALARS *kept, WIDE *c)
{
    kept->path = t == 1 ? 0 : kept->path;
    c->b1 = h->paper && t == 1 ? 0 : h->beta1;
    c->a1 = 1 - c->b1;
    c->b2 = h->paper && t <= 2 ? 0 : h->beta2;
    c->a2 = 1 - c->b2;
    c->b3 = h->paper && t == 1 ? 0 : h->beta3;
    c->a3 = 1 - c->b3;
    c->differ = t > 1;
    c->mix = h->beta2;
    c->rate_m = h->lr / (h->paper ? 1 : 1 - powi(h->beta1, t));
    c->rate_w = h->lr * h->beta2 / (h->paper ? 1 : 1 - powi(h->beta2, t));
    c->root = h->paper ? 1 : 1 / sqrt(1 - powi(h->beta3, t));
    c->eps = h->eps;
    c->keep = h->prox ? 1 : 1 - h->lr * h->weight_decay;
    c->shrink = h->prox ? 1 + h->lr * h->weight_decay : 1;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    const T d = c->differ * (g - s->prev), u = g + c->mix * d;
    s->prev = g;
    s->m = c->b1 * s->m + c->a1 * g;
    s->w = c->b2 * s->w + c->a2 * d;
    s->n = c->b3 * s->n + (c->a3 * u) * u;
    const T ahead = c->rate_m * s->m + c->rate_w * s->w;
    return (p * c->keep - OVER(ahead, SQRT(s->n) * c->root + c->eps)) / c->shrink;
}
#include "../rule_end.h"
