/* The roofline in benchmarks: moves as many bytes as other rules do, and computes
 * next to nothing, x <- x + stir g for every array x. _read1: a state beside them is
 * only read, and added to g. */
#define RULE traffic
#define RULE_HYPER(X) X(stir)
#if STATE4
#define WRITTEN(X) X(a) X(b) X(c) X(d)
#elif STATE3
#define WRITTEN(X) X(a) X(b) X(c)
#elif STATE2
#define WRITTEN(X) X(a) X(b)
#elif STATE1
#define WRITTEN(X) X(a)
#else
#define WRITTEN(X)
#endif
#if READ1
#define RULE_STATE(X) WRITTEN(X) X(read)
#else
#define RULE_STATE(X) WRITTEN(X)
#endif
#define RULE_COEF(X) X(stir)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, WIDE *c)
{
    (void)t;
    c->stir = h->stir;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
#if READ1
    g = g + s->read;
#endif
    const T x = c->stir * g;
#define TOUCH(name) s->name = s->name + x;
    WRITTEN(TOUCH)
#undef TOUCH
    (void)s;
    return p + x;
}
#include "../rule_end.h"
#undef WRITTEN
