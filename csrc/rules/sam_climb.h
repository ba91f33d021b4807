/* The first half of a step of SAM. Foret et al., "Sharpness-aware minimization for
 * efficiently improving generalization", arXiv:2010.01412, Algorithm 1.
 *     old <- p,  p <- p + rho g / |g|
 * _adaptive: Kwon et al., "ASAM", arXiv:2102.11600: p <- p + rho p^2 g / | |p| g |.
 * Norms are over all parameters; 1e-12 is added to them, as in davda54/sam. */
#define RULE sam_climb
#define RULE_HYPER(X) X(rho)
#define RULE_STATE(X) X(old)
#define RULE_COEF(X) X(size) X(scale)
#define RULE_SUMS(X) X(norm)
#define RULE_SQUARES 1
#define RULE_ACROSS
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)t;
    const double scale = h->rho / (sum->norm + 1e-12);
    c->size = half_of(scale); /* as small as gradients are large */
    c->scale = scale / c->size;
}

RULE_FN void K(terms)(T p, T g, const STATE *s, const COEF *c, SUMS *term)
{
    (void)s, (void)c;
#if ADAPTIVE
    term->norm = p * g;
#else
    (void)p;
    term->norm = g;
#endif
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->old = p;
#if ADAPTIVE
    g = (p * p) * g;
#endif
    return p + c->scale * (c->size * g);
}
#include "../rule_end.h"
