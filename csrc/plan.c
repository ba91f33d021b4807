/* plan.c: step counts, hyperparameters and sums to coefficients, and one run of all. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "fpenv.h"
#include "host_math.h"
#include "measure.h"
#include "mix.h"
#include "reduce.h"
#include "run.h"
#include "staged.h"

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
        .sum = calloc((tensors + 1) * GS_MAX_SUMS, sizeof *plan->sum),
    };
    if (plan->tensor && plan->group && plan->stepping && plan->live && plan->coef &&
        plan->sum) {
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
    free(plan->sum);
    free(plan->storage);
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

bool gs_plan_reserve_storage(gs_plan *plan)
{
    if (!plan->storage)
        plan->storage = calloc(plan->tensors + 1, sizeof *plan->storage);
    return plan->storage;
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

static void set_keys(gs_storage *in, int64_t t)
{
    in->p.key = gs_key(in->seed, (uint64_t)t, in->number, 0);
    for (uint64_t k = 0; k < GS_MAX_STATE; k++)
        in->state[k].key = gs_key(in->seed, (uint64_t)t, in->number, 1 + k);
}

/* States that begin as the parameter do so here, not when the optimizer is built:
 * parameters may be loaded in between. */
static void copy_parameter(const gs_segment *s)
{
    if (s->storage && s->kernel->copies)
        gs_staged_begin(s);
    for (int k = 0; k < GS_MAX_STATE && !s->storage; k++)
        if (s->kernel->copies >> k & 1)
            memcpy(s->state[k], s->p, s->n * s->kernel->param_size);
}

/* Notes which tensors take part in this step; returns how many. */
static size_t collect(gs_plan *plan, double grad_scale)
{
    size_t live = 0;
    for (size_t i = 0; i < plan->tensors; i++) {
        gs_tensor *x = plan->tensor + i;
        if (!x->moving)
            continue;
        x->moving = false;
        x->segment.grad_scale = plan->group[x->group].grad_scale * grad_scale;
        plan->stepping[live] = x;
        plan->live[live++] = x->segment;
    }
    return live;
}

/* Moves on the step counts and scalars, and finds the coefficients. */
static void advance(gs_plan *plan, size_t live)
{
    const gs_tensor *last = NULL;
    double scalar[GS_MAX_SCALARS]; /* of it, before they moved on */
    for (size_t i = 0; i < live; i++) {
        gs_tensor *x = plan->stepping[i];
        x->t++;
        if (x->segment.storage)
            set_keys(plan->storage + (x - plan->tensor), x->t);
        if (x->t == 1)
            copy_parameter(&x->segment);
        if (last && same_coef(x, last, scalar) && !x->segment.kernel->sums) {
            x->segment.coef = last->segment.coef;
            memcpy(x->scalar, last->scalar, sizeof x->scalar);
        } else {
            memcpy(scalar, x->scalar, sizeof scalar);
            prepare(plan, x, NULL);
        }
        plan->live[i].coef = x->segment.coef;
        last = x;
    }
}

/* Multiplies the scale of all gradients that take part. */
static void rescale(gs_plan *plan, size_t live, double factor)
{
    for (size_t i = 0; i < live; i++)
        plan->live[i].grad_scale *= factor;
}

/* Sums over tensors to plan->sum; false if other parts of them could not be added. */
static bool sum_up(gs_plan *plan, size_t live)
{
    gs_run_gather(plan->live, live);
    for (size_t i = 0; i < live; i++)
        gs_reduce(plan->live + i, plan->sum + i * GS_MAX_SUMS);
    return !plan->share || plan->share(plan->with, live);
}

/* The largest scale of a gradient. */
static double largest_scale(const gs_plan *plan, size_t live)
{
    double most = 0;
    for (size_t i = 0; i < live; i++)
        most = fmax(most, fabs(plan->stepping[i]->segment.grad_scale));
    return most;
}

/* The sum over all gradients of the squares of each times its scale / whole. */
static double sum_squares(gs_plan *plan, size_t live, double far, double whole,
                          gs_report *found)
{
    double sum = 0;
    for (size_t i = 0; i < live; i++) {
        const gs_tensor *x = plan->stepping[i];
        plan->live[i].kernel = x->norm;
        plan->live[i].grad_scale = scale_before(x->segment.grad_scale, far);
    }
    found->failed |= !sum_up(plan, live);
    for (size_t i = 0; i < live; i++) {
        const gs_tensor *x = plan->stepping[i];
        const double scale = scale_after(x->segment.grad_scale, far) / whole;
        sum += plan->sum[i * GS_MAX_SUMS] * (scale * scale);
        plan->live[i].kernel = x->segment.kernel;
        plan->live[i].grad_scale = x->segment.grad_scale;
    }
    return sum;
}

/* How many elements, scaled as in the step, are not finite. */
static double count_nonfinite(gs_plan *plan, size_t live, gs_report *found)
{
    double count = 0;
    for (size_t i = 0; i < live; i++) {
        plan->live[i].kernel = plan->stepping[i]->nonfinite;
        if (!plan->live[i].kernel)
            count = 1;
    }
    if (!count)
        found->failed |= !sum_up(plan, live);
    for (size_t i = 0; i < live; i++) {
        count += plan->live[i].kernel ? plan->sum[i * GS_MAX_SUMS] : 0;
        plan->live[i].kernel = plan->stepping[i]->segment.kernel;
    }
    return count;
}

/* Notes the norm, NaN where gradients are not finite, and how many elements are not; they
 * are counted only where the squares say that there are some. */
static void find_norm(gs_plan *plan, size_t live, gs_report *found)
{
    const double squares = sum_squares(plan, live, 1, 1, found);
    found->measured = true;
    found->grad_norm = length(squares);
    if (found->failed || squares - squares == 0)
        return;
    found->nonfinite = count_nonfinite(plan, live, found);
    if (found->failed || found->nonfinite > 0)
        return;
    const double most = largest_scale(plan, live);
    found->grad_norm = length(sum_squares(plan, live, FAR, most, found)) * most / FAR;
}

static bool groups_clip(const gs_plan *plan)
{
    bool clips = false;
    for (size_t j = 0; j < plan->groups; j++)
        clips |= plan->group[j].clip_norm > 0;
    return clips;
}

/* Finds what the step is to be told of the gradients, and scales them by it. */
static gs_report measure(gs_plan *plan, size_t live, const gs_scaling *scaling)
{
    gs_report found = {.clip_factor = 1};
    if (!(scaling->clip_norm > 0 || scaling->guard))
        return found;
    find_norm(plan, live, &found);
    found.skipped = found.failed || (scaling->guard && found.nonfinite > 0);
    if (!found.skipped && scaling->clip_norm > 0 &&
        scaling->clip_norm - scaling->clip_norm == 0)
        found.clip_factor =
            clip_factor(scaling->clip_norm, scaling->clip_eps, found.grad_norm);
    if (found.clip_factor != 1)
        rescale(plan, live, found.clip_factor);
    return found;
}

/* Some rules clip by themselves, each group by its options. */
static void clip_groups(gs_plan *plan, size_t live, gs_report *report)
{
    gs_report own = *report;
    if (!groups_clip(plan))
        return;
    if (!own.measured)
        find_norm(plan, live, &own);
    report->failed = own.failed;
    for (size_t i = 0; i < live; i++) {
        const gs_group *group = plan->group + plan->stepping[i]->group;
        plan->live[i].grad_scale *= clip_factor(group->clip_norm, group->clip_eps,
                                                own.grad_norm * own.clip_factor);
    }
}

/* Coefficients that depend on sums over tensors; false if those could not be had. */
static bool gather(gs_plan *plan, size_t live)
{
    double all[GS_MAX_SUMS] = {0};
    bool gathers = false;
    for (size_t i = 0; i < live; i++)
        gathers |= plan->live[i].kernel->sums > 0;
    if (!gathers)
        return true;
    if (!sum_up(plan, live))
        return false;
    for (size_t i = 0; i < live; i++) {
        const double *each = plan->sum + i * GS_MAX_SUMS;
        const gs_kernel *kernel = plan->live[i].kernel;
        if (kernel->sums && !kernel->across)
            prepare(plan, plan->stepping[i], each);
        for (size_t k = 0; kernel->across && k < kernel->sums; k++)
            all[k] += each[k];
    }
    for (size_t i = 0; i < live; i++)
        if (plan->live[i].kernel->across)
            prepare(plan, plan->stepping[i], all);
    return true;
}

static const gs_scaling as_they_are = {.grad_scale = 1};

/* A step of those that take part, whose gradients have been measured. */
static void carry_out(gs_plan *plan, size_t live, gs_report *report)
{
    clip_groups(plan, live, report);
    if (!report->failed) {
        advance(plan, live);
        report->failed = !gather(plan, live);
    }
    report->skipped = report->failed;
    if (!report->failed)
        gs_run(plan->live, live);
}

gs_report gs_plan_step(gs_plan *plan, const gs_scaling *scaling)
{
    const gs_fpenv before = gs_fpenv_enter();
    scaling = scaling ? scaling : &as_they_are;
    const size_t live = collect(plan, scaling->grad_scale);
    gs_report report = measure(plan, live, scaling);
    if (!report.skipped)
        carry_out(plan, live, &report);
    gs_fpenv_leave(before);
    return report;
}

gs_report gs_plan_measure(gs_plan *plan, const gs_scaling *scaling)
{
    const gs_fpenv before = gs_fpenv_enter();
    const size_t live = collect(plan, scaling->grad_scale);
    const gs_report report = measure(plan, live, scaling);
    gs_fpenv_leave(before);
    return report;
}

void gs_plan_sums(gs_plan *plan)
{
    const gs_fpenv before = gs_fpenv_enter();
    const size_t live = collect(plan, 1);
    advance(plan, live);
    (void)sum_up(plan, live);
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
