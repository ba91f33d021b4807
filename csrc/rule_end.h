/* rule_end.h: the one loop around every update(), and the rule's entry in the table; on a
 * device (GS_DEVICE), rule_device.h in the place of both. `restrict` is a promise that
 * _engine.pxi keeps: it refuses overlapping arrays. */

#define INDEX(name) K(at_##name),
enum { RULE_STATE(INDEX) K(states) };
#undef INDEX

#ifndef GS_DEVICE
#define ARG(name) , T *restrict state_##name
#define LOAD(name) .name = state_##name[i],
#define STORE(name) state_##name[i] = FLUSHED(s.name);

/* Coefficients for one of two loops, in which `guards` is a constant. */
RULE_FN COEF K(with_guards)(const COEF *coef, bool guards)
{
    COEF c = *coef;
#if MAY_BE_0_OVER_0
    c.guards = guards;
#endif
    (void)guards;
    return c;
}

#if RULE_STEPS
#if RULE_ROOT
#include "rule_root.h"
#else
RULE_FN void K(loop)(size_t n, P *restrict p, const G *restrict g, T grad_scale,
                     const COEF *restrict coef, bool guards RULE_STATE(ARG))
{
    const COEF c = K(with_guards)(coef, guards);
    for (size_t i = 0; i < n; i++) {
        STATE s = {RULE_STATE(LOAD)};
        p[i] = K(update)(p[i], grad_scale * g[i], &s, &c);
        RULE_STATE(STORE)
    }
}
#endif

#define SLICE(name) , (T *)s->state[K(at_##name)] + from
RULE_FN void K(elements)(const gs_segment *s, size_t from, size_t to, bool guards)
{
    K(loop)(to - from, (P *)s->p + from, (const G *)s->g + from, (T)s->grad_scale,
            s->coef, guards RULE_STATE(SLICE));
}
#undef SLICE

RULE_LOOP void K(range)(const gs_segment *s, size_t from, size_t to)
{
    K(elements)(s, from, to, false);
}

#if MAY_BE_0_OVER_0
RULE_LOOP void K(range_guarded)(const gs_segment *s, size_t from, size_t to)
{
    K(elements)(s, from, to, true);
}
#endif

/* The first elements are peeled until the parameter stands on a cache line: a vector
 * that straddles two lines costs two accesses. State arrays share the parameter's
 * residue (memory.h), so they are aligned with it. */
static void K(step)(const gs_segment *s, size_t begin, size_t end)
{
    const size_t body = gs_line_start((P *)s->p + begin, sizeof(P), begin, end);
    void (*range)(const gs_segment *, size_t, size_t) = K(range);
#if MAY_BE_0_OVER_0
    if (((const COEF *)s->coef)->guards)
        range = K(range_guarded);
#endif
    if (body > begin)
        range(s, begin, body);
    if (end > body)
        range(s, body, end);
}
#endif

#if GATHERS
#include "rule_gather.h"
#endif
#undef STORE
#undef LOAD
#undef ARG
#endif

/* A coefficient that a rule forgets to set is NaN, and every test sees it. */
static void K(prepare_any)(const double *hyper, double t, double *scalars,
                           const double *sums, void *coef)
{
    (void)scalars;
    (void)sums;
#define UNSET(name) .name = NAN,
#define ROUNDED(name) .name = (T)wide.name,
    WIDE wide = {RULE_COEF(UNSET)};
    SUMS_(const SUMS unknown = {RULE_SUMS(UNSET)};)
    K(prepare)((const HYPER *)hyper,
               t SCALARS_(, (SCALARS *)scalars)
                   SUMS_(, sums ? (const SUMS *)sums : &unknown),
               &wide);
    COEF rounded = {RULE_COEF(ROUNDED)};
#if MAY_BE_0_OVER_0
    rounded.guards = !(RULE_LEAST_DIVISOR(&rounded) > 0);
#endif
    *(COEF *)coef = rounded;
#undef ROUNDED
#undef UNSET
}

#ifdef GS_DEVICE
#include "rule_device.h"
#else
#if RULE_RESTS
static bool K(rests_any)(const double *hyper)
{
    return K(rests)((const HYPER *)hyper);
}
#endif

#define NAME(name) #name,
static const char *const K(hyper_names)[] = {RULE_HYPER(NAME) NULL};
static const char *const K(state_names)[] = {RULE_STATE(NAME) NULL};
static const char *const K(scalar_names)[] = {RULE_SCALARS(NAME) NULL};
#undef NAME

_Static_assert(sizeof(HYPER) <= GS_MAX_HYPER * sizeof(double), "raise GS_MAX_HYPER");
_Static_assert(sizeof(COEF) <= GS_MAX_COEF, "raise GS_MAX_COEF");
_Static_assert(sizeof(SCALARS) <= GS_MAX_SCALARS * sizeof(double),
               "raise GS_MAX_SCALARS");
_Static_assert(sizeof(SUMS) <= GS_MAX_SUMS * sizeof(double), "raise GS_MAX_SUMS");
_Static_assert((int)K(states) <= GS_MAX_STATE, "raise GS_MAX_STATE");

#define TEXT_(rule, variant) #rule #variant
#define TEXT(rule, variant) TEXT_(rule, variant)
#define BIT(name) | 1u << K(at_##name)
#define WORD_(x) #x
#define WORD(x) WORD_(x)
static const gs_kernel K(kernel) = {
    .rule = TEXT(RULE, VARIANT),
    .dtype = WORD(DTYPE),
    .hyper = K(hyper_names),
    .state = K(state_names),
    .scalar = K(scalar_names),
    .copies = 0 RULE_COPIES(BIT),
    .param_size = sizeof(P),
    .state_size = sizeof(T),
    .prepare = K(prepare_any),
#if RULE_STEPS
    .step = K(step),
#endif
#if RULE_RESTS
    .rests = K(rests_any),
#endif
#if GATHERS
    .sums = sizeof(SUMS) / sizeof(double),
    .gather = K(gather_range),
    .squares = RULE_SQUARES,
    .advances = RULE_ADVANCES,
#ifdef RULE_ACROSS
    .across = true,
#endif
#ifdef RULE_ONLY_G
    .only_g = true,
#endif
#endif
};
#undef WORD
#undef WORD_
#undef BIT
#undef TEXT
#undef TEXT_
#endif

#undef SUMS
#undef SCALARS
#undef SET_DECAY
#undef SUMS_
#undef SCALARS_
#undef GATHERS
#undef WIDE
#undef COEF
#undef STATE
#undef HYPER
#undef K
#undef JOIN
#undef JOIN_
#undef RULE
#undef RULE_HYPER
#undef RULE_STATE
#undef RULE_COEF
#undef RULE_SCALARS
#undef RULE_SUMS
#undef RULE_COPIES
#undef RULE_STEPS
#undef RULE_RESTS
#undef RULE_LEAST_DIVISOR
#undef MAY_BE_0_OVER_0
#undef RULE_ROOT
#undef RULE_ACROSS
#undef RULE_ONLY_G
#undef RULE_SQUARES
#undef RULE_ADVANCES
#undef RULE_ROLLED
