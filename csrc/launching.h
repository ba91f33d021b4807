/* launching.h: what launches.c and tables.c share: a step that is cut into launches. */
#ifndef GRADSTEP_LAUNCHING_H
#define GRADSTEP_LAUNCHING_H

#include "launches.h"

/* What the step is told, and found so far. */
typedef struct scene {
    const gs_device *d;
    gs_plan *plan;
    const gs_scaling *scaling;
    gs_launches *found;
    size_t live;
    bool clips;
} scene;

static inline size_t number_of(const scene *s, size_t k)
{
    return (size_t)(s->plan->stepping[k] - s->plan->tensor);
}

static inline size_t ceiling(size_t n, size_t by)
{
    return n / by + (n % by != 0);
}

/* Room for one launch more; s->found->failed if memory is short, and then any. */
gs_launch *gs_launch_more(scene *s, uint32_t kind, uint32_t what, size_t grid,
                          uint32_t threads);

/* Which passes look at which arrays of tensors of which kind. */
typedef struct pass {
    uint32_t what, threads, chunk, pass, again;
    const uint32_t *kinds;
    bool measures;
} pass;

/* Whether a pass that gathers a rule's sums takes those of a tensor. */
static inline bool gs_gathers(const scene *s, const gs_segment *x, const pass *p)
{
    const bool wide = x->kernel->state_size == sizeof(double);
    const bool again = x->kernel->squares && (wide || s->d->shares);
    return x->kernel->sums && (!p->again || again);
}

/* The launches of a pass: those of each kind together, kinds in the order in which tensors
 * have them. */
void gs_launch_pass(scene *s, const pass *p);

#endif
