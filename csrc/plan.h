/* plan.h: all tensors of an optimizer; one call takes one step of each. */
#ifndef GRADSTEP_PLAN_H
#define GRADSTEP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

typedef struct gs_group {
    double hyper[GS_MAX_HYPER];
    double grad_scale;
} gs_group;

typedef struct gs_tensor {
    gs_segment segment;
    size_t group;
    int64_t t;   /* steps taken */
    bool moving; /* has a gradient, segment.g, in the coming step; false after it */
} gs_tensor;

typedef struct gs_plan {
    gs_tensor *tensor;
    size_t tensors;
    gs_group *group;
    size_t groups;
    gs_segment *live; /* room for the segments of one step */
    void *coef;       /* and for their coefficients */
    bool busy;
} gs_plan;

/* false, with nothing changed, if memory is short. */
bool gs_plan_init(gs_plan *plan, size_t tensors, size_t groups);
void gs_plan_free(gs_plan *plan);

/* One step of every moving tensor, each counting its own t. */
void gs_plan_step(gs_plan *plan);

/* Two threads must not take one optimizer's step at once: false if one is at it. */
bool gs_plan_enter(gs_plan *plan);
void gs_plan_leave(gs_plan *plan);

#endif
