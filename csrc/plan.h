/* plan.h: all tensors of an optimizer; one call takes one step of each. */
#ifndef GRADSTEP_PLAN_H
#define GRADSTEP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

typedef struct gs_group {
    double hyper[GS_MAX_HYPER];
    double grad_scale;
    /* Gradients are scaled by clip_norm / (norm + clip_eps), if that is below 1 and
     * clip_norm above 0; the norm is that of all gradients of the step together. */
    double clip_norm, clip_eps;
} gs_group;

typedef struct gs_tensor {
    gs_segment segment;
    size_t group;
    int64_t t; /* steps taken */
    double scalar[GS_MAX_SCALARS];
    const gs_kernel *norm;      /* gathers the squares of the gradient */
    const gs_kernel *nonfinite; /* counts its elements that are none; NULL: 1 if any */
    bool moving; /* has a gradient, segment.g, in the coming step; false after it */
} gs_tensor;

typedef struct gs_plan {
    gs_tensor *tensor;
    size_t tensors;
    gs_group *group;
    size_t groups;
    gs_tensor **stepping; /* room for those that take part in a step */
    gs_segment *live;     /* for their segments */
    void *coef;           /* for their coefficients */
    double *partial;      /* for sums of blocks */
    double *sum;          /* and for those of tensors, GS_MAX_SUMS to each */
    double *unit;         /* and for the units in which squares are summed, likewise */
    gs_storage *storage;  /* of each tensor, or NULL while none has arrays in code */
    /* Where tensors are parts of larger ones: adds to plan->sum what the other parts have.
     * false: it could not, and there will be no step. NULL: tensors are whole. */
    bool (*share)(void *with, size_t live);
    void *with;
    bool busy;
} gs_plan;

/* false if memory is short. */
bool gs_plan_init(gs_plan *plan, size_t tensors, size_t groups);
/* Once all tensors have their n: room for sums over them. */
bool gs_plan_reserve(gs_plan *plan);
/* Room for plan->storage, which segment.storage of a tensor in code points to. */
bool gs_plan_reserve_storage(gs_plan *plan);
void gs_plan_free(gs_plan *plan);

/* What is done with the gradients of one step. */
typedef struct gs_scaling {
    double grad_scale; /* multiplies them all, beside their group's */
    /* If above 0, they are scaled by clip_norm / (norm + clip_eps) where that is below 1;
     * infinity: the norm is found, and nothing clipped. */
    double clip_norm, clip_eps;
    bool guard; /* take no step if elements are not finite */
} gs_scaling;

/* What was found. */
typedef struct gs_report {
    double grad_norm;   /* of all gradients together, scaled, before clipping */
    double clip_factor; /* at most 1 */
    double nonfinite;   /* elements of scaled gradients */
    bool measured;      /* else there was no pass: no norm, no count */
    bool skipped;
    bool failed; /* to share sums; states that gather() changes may have moved */
} gs_report;

/* One step of every moving tensor, each counting its own t; or none, see guard. NULL:
 * gradients are taken as they are. */
gs_report gs_plan_step(gs_plan *plan, const gs_scaling *scaling);

/* What that would report; nothing steps. */
gs_report gs_plan_measure(gs_plan *plan, const gs_scaling *scaling);

/* The sums of the kernel of each moving tensor, in their order, to plan->sum; nothing
 * steps. */
void gs_plan_sums(gs_plan *plan);

/* Two threads must not take one optimizer's step at once: false if one is at it. */
bool gs_plan_enter(gs_plan *plan);
void gs_plan_leave(gs_plan *plan);

#endif
