/* kernel.h: what a compiled rule looks like from outside: one gs_kernel per
 * (rule, dtype), one gs_table per CPU level. */
#ifndef GRADSTEP_KERNEL_H
#define GRADSTEP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "bounds.h"
#include "codec.h"
#include "lls.h"

/* Which arrays of a tensor are in code; its arithmetic is that of float then. */
typedef struct gs_storage {
    gs_coded p, g, state[GS_MAX_STATE]; /* without a codec: they are in the segment */
    bool reads;  /* states are not written, nor encoded again, which rounds */
    bool master; /* segment.p is p in float, from which p is encoded in each step */
    uint64_t seed, number; /* random numbers are of those, the step and the element */
} gs_storage;

/* One tensor and all that its elementwise update needs. n elements lie without gaps in
 * p, g and every state array; nothing that is written overlaps anything else. */
typedef struct gs_segment {
    const struct gs_kernel *kernel;
    const void *coef;
    double grad_scale; /* multiplies every gradient element, in the arithmetic type */
    double grad_power; /* and so does this: 1, or see gs_factor in measure.h */
    void *p;
    const void *g;
    void *state[GS_MAX_STATE];
    double *partial; /* room for the sums of each block, if the kernel gathers */
    /* NULL, or a unit for each sum of squares, which are gathered once more by it; states
     * do not change then. */
    const double *unit;
    size_t n;
    const gs_storage *storage; /* NULL: nothing is in code */
} gs_segment;

typedef struct gs_kernel {
    const char *rule;
    const char *dtype;
    const char *const *hyper;  /* names, in the order prepare() wants; NULL ends them */
    const char *const *state;  /* names, in the order of gs_segment.state; NULL ends */
    const char *const *scalar; /* names of what prepare() keeps between steps */
    unsigned copies;   /* bit k: state k begins as the parameter, at the first step */
    size_t param_size; /* bytes of one element */
    size_t state_size;

    /* Whether an element whose gradient is zero stays as it is, its states too, in every
     * step by these hyperparameters; NULL: never. */
    bool (*rests)(const double *hyper);

    /* Hyperparameters and the 1-based step count to coefficients, once per step. Where
     * there are sums, once without them, for gather(), and once with them. */
    void (*prepare)(const double *hyper, double t, double *scalars, const double *sums,
                    void *coef);
    /* Elements [begin, end) of a segment; NULL in what only gathers. */
    void (*step)(const gs_segment *s, size_t begin, size_t end);

    /* Before it, from a multiple of GS_BLOCK: sums of each block to segment.partial. */
    void (*gather)(const gs_segment *s, size_t begin, size_t end);
    size_t sums;   /* how many */
    bool squares;  /* they are of squares, and prepare() is given their roots */
    bool across;   /* over all tensors together, not each */
    bool advances; /* states change before */
    bool only_g;   /* they are of gradients alone */
} gs_kernel;

typedef struct gs_table {
    const char *isa;
    const gs_kernel *const *kernel; /* NULL ends */
    const gs_lls_ops *lls_f32;
    const gs_lls_ops *lls_f64;
    const gs_codec *codec; /* one without a name ends */
} gs_table;

#endif
