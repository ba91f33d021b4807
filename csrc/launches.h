/* launches.h: a step of tensors in a device's memory, as launches of its kernels: what
 * plan.c does on the host. Nothing here touches a device. */
#ifndef GRADSTEP_LAUNCHES_H
#define GRADSTEP_LAUNCHES_H

#include "device.h"
#include "plan.h"

/* What lies in the device's memory beside the tensors of a plan; see device.h. */
typedef struct gs_device {
    uint64_t record, measured, count, step, scalar;
    uint64_t amp_scale, found_inf; /* of the coming step, or 0 */
    uint32_t scalars;              /* of a tensor */
    uint32_t processors;
    bool shares; /* tensors are parts of larger ones */
    /* Of each tensor: which module steps it, and which ones look at its gradient; where its
     * sums go; its place among all parameters. */
    const uint32_t *kind, *norm, *nonfinite, *place;
    const uint64_t *partial, *seed;
    /* Of each group: where its lr is, 0 if that is a number; and whether in double. */
    const uint64_t *lr, *lr_is_double;
} gs_device;

/* Kernels of a rule's module; those of the one without a rule; and GS_SHARE, which is none:
 * sums in records are to be added to those of other processes. */
enum { GS_PREPARE, GS_GATHER, GS_STEP, GS_SCALE, GS_REDUCE, GS_TOTAL, GS_SHARE };

typedef struct gs_launch {
    uint32_t kind, what, grid, threads;
    unsigned char argument[GS_ARGUMENT];
} gs_launch;

typedef struct gs_launches {
    gs_launch *launch;
    size_t count, room;
    bool failed; /* memory was short */
} gs_launches;

/* The launches of a step of the tensors that are moving, in their order. */
void gs_device_step(const gs_device *d, gs_plan *plan, const gs_scaling *scaling,
                    gs_launches *found);
void gs_launches_free(gs_launches *found);

/* Doubles of room for sums of blocks that a tensor needs. */
size_t gs_device_partials(size_t n);

#endif
