/* plan.c: step counts and hyperparameters to coefficients, and one run of them all. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "fpenv.h"
#include "run.h"

bool gs_plan_init(gs_plan *plan, size_t tensors, size_t groups)
{
    /* One element more than asked: calloc(0) may be NULL, which means failure here. */
    *plan = (gs_plan){
        .tensor = calloc(tensors + 1, sizeof *plan->tensor),
        .tensors = tensors,
        .group = calloc(groups + 1, sizeof *plan->group),
        .groups = groups,
        .live = calloc(tensors + 1, sizeof *plan->live),
        .coef = calloc(tensors + 1, GS_MAX_COEF),
    };
    if (plan->tensor && plan->group && plan->live && plan->coef)
        return true;
    gs_plan_free(plan);
    return false;
}

void gs_plan_free(gs_plan *plan)
{
    free(plan->tensor);
    free(plan->group);
    free(plan->live);
    free(plan->coef);
    *plan = (gs_plan){0};
}

/* Tensors of one group mostly share rule, dtype and t, and so their coefficients. */
static bool same_coef(const gs_tensor *a, const gs_tensor *b)
{
    return a->segment.kernel == b->segment.kernel && a->group == b->group &&
           a->t == b->t;
}

static size_t prepare(gs_plan *plan)
{
    const gs_fpenv before = gs_fpenv_enter();
    const gs_tensor *last = NULL;
    size_t live = 0;
    for (size_t i = 0; i < plan->tensors; i++) {
        gs_tensor *x = plan->tensor + i;
        if (!x->moving)
            continue;
        const gs_group *group = plan->group + x->group;
        x->moving = false;
        x->t++;
        if (last && same_coef(x, last)) {
            x->segment.coef = last->segment.coef;
        } else {
            void *coef = (char *)plan->coef + i * GS_MAX_COEF;
            x->segment.kernel->prepare(group->hyper, (double)x->t, coef);
            x->segment.coef = coef;
        }
        x->segment.grad_scale = group->grad_scale;
        plan->live[live++] = x->segment;
        last = x;
    }
    gs_fpenv_leave(before);
    return live;
}

void gs_plan_step(gs_plan *plan)
{
    gs_run(plan->live, prepare(plan));
}

bool gs_plan_enter(gs_plan *plan)
{
    return !__atomic_test_and_set(&plan->busy, __ATOMIC_ACQUIRE);
}

void gs_plan_leave(gs_plan *plan)
{
    __atomic_clear(&plan->busy, __ATOMIC_RELEASE);
}
