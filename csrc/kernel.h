/* kernel.h: what a compiled rule looks like from outside: one gs_kernel per
 * (rule, dtype), one gs_table per CPU level. */
#ifndef GRADSTEP_KERNEL_H
#define GRADSTEP_KERNEL_H

#include <stddef.h>

#include "lls.h"

enum {
    GS_MAX_HYPER = 16,
    GS_MAX_STATE = 6,
    GS_MAX_COEF = 16 * sizeof(double), /* bytes of one rule's coefficients */
};

/* One tensor and all that its elementwise update needs. n elements lie without gaps in
 * p, g and every state array; nothing that is written overlaps anything else. */
typedef struct gs_segment {
    const struct gs_kernel *kernel;
    const void *coef;
    double grad_scale; /* multiplies every gradient element, in the arithmetic type */
    void *p;
    const void *g;
    void *state[GS_MAX_STATE];
    size_t n;
} gs_segment;

typedef struct gs_kernel {
    const char *rule;
    const char *dtype;
    const char *const *hyper; /* names, in the order prepare() wants; NULL ends them */
    const char *const *state; /* names, in the order of gs_segment.state; NULL ends */
    size_t param_size;        /* bytes of one element */
    size_t state_size;

    /* Hyperparameters and the 1-based step count to coefficients, once per step. */
    void (*prepare)(const double *hyper, double t, void *coef);
    /* Elements [begin, end) of a segment. */
    void (*step)(const gs_segment *s, size_t begin, size_t end);
} gs_kernel;

typedef struct gs_table {
    const char *isa;
    const gs_kernel *const *kernel; /* NULL ends */
    gs_lls_run_fn *lls_f32;
    gs_lls_run_fn *lls_f64;
} gs_table;

#endif
