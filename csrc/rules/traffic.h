/* A rule that does nothing, for as many bytes as others need to do something: the
 * roofline in benchmarks. `zero` is 0 at run time, which the compiler can't know. */
#define RULE traffic
#define RULE_HYPER(X) X(zero)
#if STATE4
#define RULE_STATE(X) X(a) X(b) X(c) X(d)
#elif STATE3
#define RULE_STATE(X) X(a) X(b) X(c)
#elif STATE2
#define RULE_STATE(X) X(a) X(b)
#elif STATE1
#define RULE_STATE(X) X(a)
#else
#define RULE_STATE(X)
#endif
#define RULE_COEF(X) X(zero)
#include "../rule_begin.h"

RULE_HOST void K(prepare)(const HYPER *h, double t, COEF *c)
{
    (void)t;
    c->zero = (T)h->zero;
}

RULE_FN T K(update)(T p, T g, STATE *s, const COEF *c)
{
    const T x = c->zero * g;
#define TOUCH(name) s->name = s->name + x;
    RULE_STATE(TOUCH)
#undef TOUCH
    (void)s;
    return p + x;
}
#include "../rule_end.h"
