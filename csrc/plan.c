/* plan.c: step counts, hyperparameters and sums to coefficients, and one run of all. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "fpenv.h"
#include "host_math.h"
#include "reduce.h"
#include "run.h"

bool gs_plan_init(gs_plan *plan, size_t tensors, size_t groups)
{
    /* One element more than asked: calloc(0) may be NULL, which means failure here. */
    *plan = (gs_plan){
        .tensor = calloc(tensors + 1, sizeof *plan->tensor),
        .tensors = tensors,
        .group = calloc(groups + 1, sizeof *plan->group),
        .groups = groups,
        .stepping = calloc(tensors + 1, sizeof(gs_tensor *)),
        .live = calloc(tensors + 1, sizeof *plan->live),
        .coef = calloc(tensors + 1, GS_MAX_COEF),
    };
    if (plan->tensor && plan->group && plan->stepping && plan->live && plan->coef) {
        for (size_t j = 0; j < groups; j++)
            plan->group[j].grad_scale = 1;
        return true;
    }
    gs_plan_free(plan);
    return false;
}

void gs_plan_free(gs_plan *plan)
{
    free(plan->tensor);
    free(plan->group);
    free(plan->stepping);
    free(plan->live);
    free(plan->coef);
    free(plan->partial);
    *plan = (gs_plan){0};
}

bool gs_plan_reserve(gs_plan *plan)
{
    size_t blocks = 0;
    for (size_t i = 0; i < plan->tensors; i++)
        blocks += gs_blocks(plan->tensor[i].segment.n);
    free(plan->partial);
    plan->partial = malloc((blocks + 1) * GS_MAX_SUMS * sizeof *plan->partial);
    double *next = plan->partial;
    for (size_t i = 0; next && i < plan->tensors; i++) {
        plan->tensor[i].segment.partial = next;
        next += gs_blocks(plan->tensor[i].segment.n) * GS_MAX_SUMS;
    }
    return next;
}

/* Whether x begins its step where `last` did, whose scalars were `scalar` then: mostly,
 * all tensors of a group do. */
static bool same_coef(const gs_tensor *x, const gs_tensor *last, const double *scalar)
{
    return x->segment.kernel == last->segment.kernel && x->group == last->group &&
           x->t == last->t && memcmp(x->scalar, scalar, sizeof x->scalar) == 0;
}

static void prepare(const gs_plan *plan, gs_tensor *x, const double *sums)
{
    void *coef = (char *)plan->coef + (size_t)(x - plan->tensor) * GS_MAX_COEF;
    x->segment.kernel->prepare(plan->group[x->group].hyper, (double)x->t, x->scalar,
                               sums, coef);
    x->segment.coef = coef;
}

/* States that begin as the parameter do so here, not when the optimizer is built:
 * parameters may be loaded in between. */
static void copy_parameter(const gs_segment *s)
{
    for (int k = 0; k < GS_MAX_STATE; k++)
        if (s->kernel->copies >> k & 1)
            memcpy(s->state[k], s->p, s->n * s->kernel->param_size);
}

/* Moves on the step counts and scalars; returns how many tensors are live. */
static size_t begin(gs_plan *plan)
{
    const gs_tensor *last = NULL;
    double scalar[GS_MAX_SCALARS]; /* of it, before they moved on */
    size_t live = 0;
    for (size_t i = 0; i < plan->tensors; i++) {
        gs_tensor *x = plan->tensor + i;
        if (!x->moving)
            continue;
        x->moving = false;
        x->t++;
        if (x->t == 1)
            copy_parameter(&x->segment);
        if (last && same_coef(x, last, scalar) && !x->segment.kernel->sums) {
            x->segment.coef = last->segment.coef;
            memcpy(x->scalar, last->scalar, sizeof x->scalar);
        } else {
            memcpy(scalar, x->scalar, sizeof scalar);
            prepare(plan, x, NULL);
        }
        x->segment.grad_scale = plan->group[x->group].grad_scale;
        plan->stepping[live] = x;
        plan->live[live++] = x->segment;
        last = x;
    }
    return live;
}

/* The norm of all gradients, each times its grad_scale; NaN if it is not finite. */
static double norm(gs_plan *plan, size_t live)
{
    double squares = 0;
    for (size_t i = 0; i < live; i++)
        plan->live[i].kernel = plan->stepping[i]->norm;
    gs_run_gather(plan->live, live);
    for (size_t i = 0; i < live; i++) {
        double sum;
        gs_reduce(plan->live + i, &sum);
        squares += sum;
        plan->live[i].kernel = plan->stepping[i]->segment.kernel;
    }
    return length(squares);
}

static double clip_factor(const gs_group *group, double norm)
{
    const double factor = group->clip_norm / (norm + group->clip_eps);
    return group->clip_norm > 0 && !(factor >= 1) ? factor : 1;
}

static void clip(gs_plan *plan, size_t live)
{
    bool clips = false;
    for (size_t j = 0; j < plan->groups; j++)
        clips |= plan->group[j].clip_norm > 0;
    if (!clips)
        return;
    const double found = norm(plan, live);
    for (size_t i = 0; i < live; i++) {
        const gs_group *group = plan->group + plan->stepping[i]->group;
        plan->live[i].grad_scale *= clip_factor(group, found);
    }
}

/* Coefficients that depend on sums over tensors. */
static void gather(gs_plan *plan, size_t live)
{
    double each[GS_MAX_SUMS], all[GS_MAX_SUMS] = {0};
    bool gathers = false;
    for (size_t i = 0; i < live; i++)
        gathers |= plan->live[i].kernel->sums > 0;
    if (!gathers)
        return;
    gs_run_gather(plan->live, live);
    for (size_t i = 0; i < live; i++) {
        if (!plan->live[i].kernel->sums)
            continue;
        gs_reduce(plan->live + i, each);
        if (!plan->live[i].kernel->across)
            prepare(plan, plan->stepping[i], each);
        else
            for (size_t k = 0; k < plan->live[i].kernel->sums; k++)
                all[k] += each[k];
    }
    for (size_t i = 0; i < live; i++)
        if (plan->live[i].kernel->across)
            prepare(plan, plan->stepping[i], all);
}
void gs_plan_step(gs_plan *plan)
{
    const gs_fpenv before = gs_fpenv_enter();
    const size_t live = begin(plan);
    clip(plan, live);
    gather(plan, live);
    gs_run(plan->live, live);
    gs_fpenv_leave(before);
}

void gs_plan_sums(gs_plan *plan, double *sums)
{
    const gs_fpenv before = gs_fpenv_enter();
    const size_t live = begin(plan);
    gs_run_gather(plan->live, live);
    for (size_t i = 0; i < live; i++)
        gs_reduce(plan->live + i, sums + i * GS_MAX_SUMS);
    gs_fpenv_leave(before);
}

bool gs_plan_enter(gs_plan *plan)
{
    return !__atomic_test_and_set(&plan->busy, __ATOMIC_ACQUIRE);
}

void gs_plan_leave(gs_plan *plan)
{
    __atomic_clear(&plan->busy, __ATOMIC_RELEASE);
}
