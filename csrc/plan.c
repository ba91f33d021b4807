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
        .unit = calloc((tensors + 1) * GS_MAX_SUMS, sizeof *plan->unit),
    };
    if (plan->tensor && plan->group && plan->stepping && plan->live && plan->coef &&
        plan->sum && plan->unit) {
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
    free(plan->unit);
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

_Static_assert(GS_MAX_STATE <= 8 * sizeof((gs_kernel *)0)->copies, "a bit for each");

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
        x->segment.grad_power = 1;
        x->segment.unit = NULL;
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

/* The scale of a gradient, as a factor. */
static gs_factor scale_of_live(const gs_segment *s)
{
    const gs_factor scale = {s->grad_scale, s->grad_power};
    return scale;
}

/* Multiplies the scale of a gradient that takes part. */
static void rescale(gs_segment *s, gs_factor by)
{
    const gs_factor scale = scale_by(scale_of_live(s), by);
    s->grad_scale = scale.factor;
    s->grad_power = scale.power;
}

/* Sums over tensors to plan->sum; false if other parts of them could not be added. */
static bool sum_up(gs_plan *plan, size_t live)
{
    gs_run_gather(plan->live, live);
    for (size_t i = 0; i < live; i++)
        if (!plan->live[i].unit || plan->live[i].kernel->squares)
            gs_reduce(plan->live + i, plan->sum + i * GS_MAX_SUMS);
    return !plan->share || plan->share(plan->with, live);
}

/* ---- the norm of all gradients -------------------------------------------------------- */

/* What is known of all gradients together, beside what is reported. */
typedef struct measured {
    gs_report report;
    gs_norm norm;
    gs_factor clip;
} measured;

static bool is_wide(const gs_segment *s)
{
    return s->kernel->state_size == sizeof(double);
}

/* The largest scale of a gradient. */
static double largest_scale(const gs_plan *plan, size_t live)
{
    double most = 0;
    for (size_t i = 0; i < live; i++)
        most = fmax(most, fabs(plan->stepping[i]->segment.grad_scale));
    return most;
}

/* Sums of squares over all gradients, taken with a unit, each with what is left of its
 * scale / whole. */
static gs_squares sum_squares(gs_plan *plan, size_t live, double unit, double whole,
                              bool *failed)
{
    gs_squares all = {0};
    for (size_t i = 0; i < live; i++) {
        const gs_tensor *x = plan->stepping[i];
        double *units = plan->unit + i * GS_MAX_SUMS;
        plan->live[i].kernel = x->norm;
        plan->live[i].grad_scale = scale_before(x->segment.grad_scale, unit);
        plan->live[i].unit = unit != 1 ? units : NULL;
        units[0] = scale_with(x->segment.grad_scale, unit);
    }
    *failed |= !sum_up(plan, live);
    for (size_t i = 0; i < live; i++) {
        const gs_segment *s = &plan->stepping[i]->segment;
        add_squares(&all, plan->sum[i * GS_MAX_SUMS],
                    scale_after(s->grad_scale) / whole);
        plan->live[i].kernel = s->kernel;
        plan->live[i].grad_scale = s->grad_scale;
        plan->live[i].unit = NULL;
    }
    return all;
}

/* How many elements, scaled as in the step, are not finite. */
static double count_nonfinite(gs_plan *plan, size_t live, bool *failed)
{
    double count = 0;
    for (size_t i = 0; i < live; i++) {
        plan->live[i].kernel = plan->stepping[i]->nonfinite;
        if (!plan->live[i].kernel)
            count = 1;
    }
    if (!count)
        *failed |= !sum_up(plan, live);
    for (size_t i = 0; i < live; i++) {
        count += plan->live[i].kernel ? plan->sum[i * GS_MAX_SUMS] : 0;
        plan->live[i].kernel = plan->stepping[i]->segment.kernel;
    }
    return count;
}

/* The norm by squares that are taken with a unit. */
static gs_norm norm_with(gs_plan *plan, size_t live, double unit, bool *failed)
{
    const double whole = whole_of(largest_scale(plan, live));
    const gs_squares all = sum_squares(plan, live, unit, whole, failed);
    const gs_norm norm = {length(all.scaled) * whole, unit};
    return norm;
}

/* Finds the norm, NaN where gradients are not finite, and how many elements are not; they
 * are counted only where the squares say that there are some. */
static void find_norm(gs_plan *plan, size_t live, measured *m)
{
    bool wide = false, *failed = &m->report.failed;
    for (size_t i = 0; i < live; i++)
        wide |= is_wide(plan->live + i);
    const gs_squares first = sum_squares(plan, live, 1, 1, failed);
    m->report.measured = true;
    m->norm = norm_of(first);
    if (!*failed && !(first.scaled - first.scaled == 0)) {
        m->report.nonfinite = count_nonfinite(plan, live, failed);
        if (!*failed && m->report.nonfinite == 0)
            m->norm = norm_with(plan, live, FAR, failed);
    } else if (!*failed && lack_squares(first, wide)) {
        m->norm = norm_with(plan, live, NEAR, failed);
    }
    m->report.grad_norm = m->norm.size / m->norm.unit;
}

static bool groups_clip(const gs_plan *plan)
{
    bool clips = false;
    for (size_t j = 0; j < plan->groups; j++)
        clips |= plan->group[j].clip_norm > 0;
    return clips;
}

static measured unmeasured(void)
{
    const measured m = {.report = {.clip_factor = 1}, .clip = {1, 1}};
    return m;
}

/* Finds what the step is to know of the gradients, and scales them by it. */
static measured measure(gs_plan *plan, size_t live, const gs_scaling *scaling)
{
    measured m = unmeasured();
    gs_report *report = &m.report;
    if (!(scaling->clip_norm > 0 || scaling->guard))
        return m;
    find_norm(plan, live, &m);
    report->skipped = report->failed || (scaling->guard && report->nonfinite > 0);
    if (!report->skipped && scaling->clip_norm - scaling->clip_norm == 0)
        m.clip = clip_factor(scaling->clip_norm, scaling->clip_eps, m.norm);
    report->clip_factor = m.clip.factor * m.clip.power;
    for (size_t i = 0; i < live && report->clip_factor != 1; i++)
        rescale(plan->live + i, m.clip);
    return m;
}

/* Some rules clip by themselves, each group by its options. */
static void clip_groups(gs_plan *plan, size_t live, measured *m)
{
    measured own = *m;
    if (!groups_clip(plan))
        return;
    if (!own.report.measured)
        find_norm(plan, live, &own);
    m->report.failed = own.report.failed;
    const gs_norm clipped = norm_after(own.norm, own.clip);
    for (size_t i = 0; i < live; i++) {
        const gs_group *group = plan->group + plan->stepping[i]->group;
        rescale(plan->live + i,
                clip_factor(group->clip_norm, group->clip_eps, clipped));
    }
}

/* ---- sums that rules read ------------------------------------------------------------- */

/* Sets units for the sums of squares that are to be taken once more, of which it returns
 * whether there are some. all: sums over all tensors, of kernels that read those. */
static bool choose_units(gs_plan *plan, size_t live, const double *all)
{
    bool again = false;
    for (size_t i = 0; i < live; i++) {
        gs_segment *s = plan->live + i;
        double *unit = plan->unit + i * GS_MAX_SUMS;
        const double *sums = s->kernel->across ? all : plan->sum + i * GS_MAX_SUMS;
        for (size_t k = 0; s->kernel->squares && k < s->kernel->sums; k++) {
            unit[k] = is_wide(s) ? unit_of(sums[k]) : 1;
            again |= unit[k] != 1;
        }
    }
    for (size_t i = 0; i < live && again; i++)
        plan->live[i].unit = plan->unit + i * GS_MAX_SUMS;
    return again;
}

/* Sums over all tensors, of kernels that read those. */
static void add_across(const gs_plan *plan, size_t live, double *all)
{
    memset(all, 0, GS_MAX_SUMS * sizeof *all);
    for (size_t i = 0; i < live; i++)
        for (size_t k = 0;
             plan->live[i].kernel->across && k < plan->live[i].kernel->sums; k++)
            all[k] += plan->sum[i * GS_MAX_SUMS + k];
}

/* Coefficients that depend on sums over tensors; false if those could not be had. */
static bool gather(gs_plan *plan, size_t live)
{
    double all[GS_MAX_SUMS], read[GS_MAX_SUMS];
    bool gathers = false;
    for (size_t i = 0; i < live; i++)
        gathers |= plan->live[i].kernel->sums > 0;
    if (!gathers)
        return true;
    if (!sum_up(plan, live))
        return false;
    add_across(plan, live, all);
    if (choose_units(plan, live, all)) {
        if (!sum_up(plan, live))
            return false;
        add_across(plan, live, all);
    }
    for (size_t i = 0; i < live; i++) {
        const gs_kernel *kernel = plan->live[i].kernel;
        const double *sums = kernel->across ? all : plan->sum + i * GS_MAX_SUMS;
        for (size_t k = 0; k < kernel->sums; k++)
            read[k] = kernel->squares
                          ? length(sums[k]) / plan->unit[i * GS_MAX_SUMS + k]
                          : sums[k];
        if (kernel->sums)
            prepare(plan, plan->stepping[i], read);
    }
    return true;
}

static const gs_scaling as_they_are = {.grad_scale = 1};

/* A step of those that take part, whose gradients have been measured. */
static void carry_out(gs_plan *plan, size_t live, measured *m)
{
    gs_report *report = &m->report;
    clip_groups(plan, live, m);
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
    measured m = measure(plan, live, scaling);
    if (!m.report.skipped)
        carry_out(plan, live, &m);
    gs_fpenv_leave(before);
    return m.report;
}

gs_report gs_plan_measure(gs_plan *plan, const gs_scaling *scaling)
{
    const gs_fpenv before = gs_fpenv_enter();
    const size_t live = collect(plan, scaling->grad_scale);
    const measured m = measure(plan, live, scaling);
    gs_fpenv_leave(before);
    return m.report;
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
