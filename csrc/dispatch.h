/* dispatch.h: the table of kernels for this CPU. */
#ifndef GRADSTEP_DISPATCH_H
#define GRADSTEP_DISPATCH_H

#include "kernel.h"

/* Names of the levels in this build, best first; NULL ends. */
extern const char *const gs_isa_names[];

/* The table of the best level that the CPU has, not above `cap` (NULL: no cap); NULL if
 * the CPU has none of them. */
const gs_table *gs_dispatch(const char *cap);

/* NULL if the table has no such kernel. */
const gs_kernel *gs_find(const gs_table *table, const char *rule, const char *dtype);

#endif
