/* The first half of a step of SAM. Foret et al., "Sharpness-aware minimization for
 * efficiently improving generalization", arXiv:2010.01412, Algorithm 1.
 *     old <- p,  p <- p + rho g / |g|
 * _adaptive: Kwon et al., "ASAM", arXiv:2102.11600: p <- p + rho p^2 g / | |p| g |.
 * Norms are over all parameters; 1e-12 is added to them, as in davda54/sam. */
#define RULE sam_climb
#define RULE_HYPER(X) X(rho)
#define RULE_STATE(X) X(old)
#define RULE_COEF(X) X(scale)
#define RULE_SUMS(X) X(squares)
#define RULE_ACROSS
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, const SUMS *sum, WIDE *c)
{
    (void)t;
    c->scale = h->rho / (length(sum->squares) + 1e-12);
}

RULE_FN void K(gather)(T p, T g, STATE *s, const COEF *c, SUMS *term)
{
    (void)s, (void)c;
#if ADAPTIVE
    const T x = p * g;
#else
    (void)p;
    const T x = g;
#endif
    term->squares = (double)x * (double)x;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    s->old = p;
#if ADAPTIVE
    g = (p * p) * g;
#endif
    return p + c->scale * g;
}
#include "../rule_end.h"
