/* bounds.h: the sizes that the host and devices agree on. */
#ifndef GRADSTEP_BOUNDS_H
#define GRADSTEP_BOUNDS_H

enum {
    GS_MAX_HYPER = 16,
    GS_MAX_STATE = 6,
    GS_MAX_SCALARS = 2,
    GS_MAX_SUMS = 3,
    GS_MAX_COEF = 16 * sizeof(double), /* bytes of one rule's coefficients */
    GS_BLOCK = 4096, /* elements; sums, and shares of threads, begin at multiples */
    GS_LANES = 16,   /* element i of a block is added in lane i mod GS_LANES */
    GS_SCALED = 256, /* elements in code that share a scale */
};

#endif
