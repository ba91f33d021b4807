/* rule_begin.h: gives a rule its structs. rule_end.h gives it its loop.
 * A rule defines, before it includes this file:
 *   RULE                 its name
 *   RULE_HYPER(X)        hyperparameters (double), in the order Python fills them
 *   RULE_STATE(X)        arrays it keeps between steps (may be empty)
 *   RULE_COEF(X)         what prepare() hands to update(): computed in double (WIDE),
 *                        then rounded to T once (COEF)
 * and after it K(prepare) and K(update). Words from kernels.c: DTYPE (f32), T (the type
 * of arithmetic and state), P and G (storage of parameter and gradient), ISA; from the
 * list of rules: VARIANT (empty or _name). */
#ifndef DTYPE
#include "ide.h"
#endif
#if !defined RULE || !defined RULE_HYPER || !defined RULE_STATE || !defined RULE_COEF
#error "a rule defines RULE, RULE_HYPER, RULE_STATE and RULE_COEF"
#endif

/* K(step) is adam_amsgrad_step_f32_v3: a grammar that can be read in a profile. */
#define JOIN_(rule, variant, word, dtype, isa) rule##variant##_##word##_##dtype##_##isa
#define JOIN(rule, variant, word, dtype, isa) JOIN_(rule, variant, word, dtype, isa)
#define K(word) JOIN(RULE, VARIANT, word, DTYPE, ISA)

#define HYPER K(hyper)
#define STATE K(state)
#define COEF K(coef)
#define WIDE K(wide)

#define FIELD(name) double name;
typedef struct {
    RULE_HYPER(FIELD)
} HYPER;
typedef struct {
    RULE_COEF(FIELD)
} WIDE;
#undef FIELD

#define FIELD(name) T name;
typedef struct {
    RULE_STATE(FIELD)
} STATE;
typedef struct {
    RULE_COEF(FIELD)
} COEF;
#undef FIELD
