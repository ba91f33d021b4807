/* rule_begin.h: gives a rule its structs. rule_end.h gives it its loop.
 * A rule defines, before it includes this file:
 *   RULE                 its name
 *   RULE_HYPER(X)        hyperparameters (double), in the order Python fills them
 *   RULE_STATE(X)        arrays it keeps between steps (may be empty)
 *   RULE_COEF(X)         what prepare() hands to update(): computed in double (WIDE),
 *                        then rounded to T once (COEF)
 * and after it K(prepare) and K(update). If it needs them:
 *   RULE_SCALARS(X)      numbers (double) that prepare() keeps from step to step of a
 *                        tensor; it must set them when t is 1
 *   RULE_COPIES(X)       states that begin as the parameter, at its first step
 *   RULE_SUMS(X)         sums over a tensor, or with RULE_ACROSS over all tensors, that
 *                        prepare() reads. K(terms) gives an element's terms before any
 *                        element is updated. With RULE_STEPS 0 that is all: there is no
 *                        update; with RULE_ONLY_G, they are of the gradient alone
 *   RULE_SQUARES 1       the terms are squared before they are added, and prepare() reads
 *                        the roots of the sums: norms, also where squares leave the range
 *                        of double, as the terms are then taken once more
 *   RULE_ADVANCES 1      K(advance) changes states before their terms are taken, once
 *   RULE_ROLLED 1        keeps GCC from unrolling the loop over lanes before it looks for
 *                        vectors; it finds those of elements GS_LANES apart then
 *   RULE_LEAST_DIVISOR(c) a number that the divisors of OVER() are never below; where it
 *                        is 0, as without eps, OVER() takes 0/0 for 0: an element whose
 *                        gradients have all been 0 stays
 *   RULE_RESTS 1         K(rests) says for which hyperparameters an element whose
 *                        gradient is zero stays as it is, states too, at every t
 *   RULE_ROOT 1          a cube root: K(radicand) gives that of which it is, after what
 *                        it does to states, and K(update) is given the root
 * Words from kernels.c: DTYPE (f32), T (the type of arithmetic and state), P and G
 * (storage of parameter and gradient), ISA; from the list of rules: VARIANT (empty or
 * _name). */
#ifndef DTYPE
#include "ide.h"
#endif
#if !defined RULE || !defined RULE_HYPER || !defined RULE_STATE || !defined RULE_COEF
#error "a rule defines RULE, RULE_HYPER, RULE_STATE and RULE_COEF"
#endif

#if defined RULE_SCALARS && defined RULE_SUMS
#error "with sums prepare() runs twice, and scalars would move on twice"
#endif
#if defined RULE_SUMS && defined RULE_COPIES && !defined RULE_ADVANCES
#error "states that begin as the parameter are written by advance() before sums"
#endif
#if defined RULE_ONLY_G && defined RULE_COPIES
#error "what sees the gradient alone has no parameter to begin a state as"
#endif
#ifdef RULE_SCALARS
#define SCALARS_(...) __VA_ARGS__
#else
#define SCALARS_(...)
#define RULE_SCALARS(X)
#endif
#ifdef RULE_SUMS
#define GATHERS 1
#define SUMS_(...) __VA_ARGS__
#else
#define GATHERS 0
#define SUMS_(...)
#define RULE_SUMS(X)
#endif
#ifndef RULE_SQUARES
#define RULE_SQUARES 0
#endif
#ifndef RULE_ADVANCES
#define RULE_ADVANCES 0
#endif
#ifndef RULE_ROLLED
#define RULE_ROLLED 0
#endif
#ifndef RULE_COPIES
#define RULE_COPIES(X)
#endif
#ifndef RULE_STEPS
#define RULE_STEPS 1
#endif
#ifndef RULE_RESTS
#define RULE_RESTS 0
#endif
#ifndef RULE_ROOT
#define RULE_ROOT 0
#endif
#ifdef RULE_LEAST_DIVISOR
#define MAY_BE_0_OVER_0 1
#else
#define MAY_BE_0_OVER_0 0
#endif

/* For rules with both kinds of weight decay: coefficients `decay` and `keep`, of
 * which one is neutral, for g + decay p and keep p. */
#define SET_DECAY(h, c)                                                                \
    ((c)->decay = (h)->decoupled ? 0 : (h)->weight_decay,                              \
     (c)->keep = (h)->decoupled ? 1 - (h)->lr * (h)->weight_decay : 1)

/* K(step) is adam_amsgrad_step_f32_v3: a grammar that can be read in a profile. */
#define JOIN_(rule, variant, word, dtype, isa) rule##variant##_##word##_##dtype##_##isa
#define JOIN(rule, variant, word, dtype, isa) JOIN_(rule, variant, word, dtype, isa)
#define K(word) JOIN(RULE, VARIANT, word, DTYPE, ISA)

#define HYPER K(hyper)
#define STATE K(state)
#define COEF K(coef)
#define WIDE K(wide)
#define SCALARS K(scalars)
#define SUMS K(sums)

#define FIELD(name) double name;
typedef struct {
    RULE_HYPER(FIELD)
} HYPER;
typedef struct {
    RULE_COEF(FIELD)
} WIDE;
typedef struct {
    RULE_SCALARS(FIELD)
} SCALARS;
typedef struct {
    RULE_SUMS(FIELD)
} SUMS;
#undef FIELD

#define FIELD(name) T name;
typedef struct {
    RULE_STATE(FIELD)
} STATE;
typedef struct {
    RULE_COEF(FIELD)
#if MAY_BE_0_OVER_0
    bool guards; /* divisors may be 0; a constant in every loop */
#endif
} COEF;
#undef FIELD
