/* launches.c: the launches of a step, in their order, and tables of those that read no
 * arrays of tensors. */
#include "launching.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 8192, /* elements of a block of threads, where there are many */
    FEWER = 2048, /* and where not: what its threads take at once, in any code */
};

_Static_assert(sizeof(gs_prepare_table) <= GS_ARGUMENT, "lower GS_MANY");
_Static_assert(sizeof(gs_scale_table) <= GS_ARGUMENT, "lower GS_MANY");
_Static_assert(sizeof(gs_reduce_table) <= GS_ARGUMENT, "lower GS_MANY");
_Static_assert(sizeof(gs_total_table) <= GS_ARGUMENT, "lower GS_MANY");

size_t gs_device_partials(size_t n)
{
    return (ceiling(n, GS_SUMMED) + 1) * GS_MAX_SUMS;
}

gs_launch *gs_launch_more(scene *s, uint32_t kind, uint32_t what, size_t grid,
                          uint32_t threads)
{
    gs_launches *found = s->found;
    if (found->count == found->room) {
        const size_t room = 2 * found->room + 8;
        gs_launch *more = realloc(found->launch, room * sizeof *more);
        if (!more) {
            found->failed = true;
            return found->launch; /* as good as any, since none will be used */
        }
        found->launch = more;
        found->room = room;
    }
    gs_launch *made = found->launch + found->count++;
    *made = (gs_launch){
        .kind = kind, .what = what, .grid = (uint32_t)grid, .threads = threads};
    return made;
}

void gs_launches_free(gs_launches *found)
{
    free(found->launch);
    *found = (gs_launches){0};
}

static bool is_wide(const gs_tensor *x)
{
    return x->segment.kernel->state_size == sizeof(double);
}

static bool any_is_wide(const scene *s)
{
    bool wide = false;
    for (size_t k = 0; k < s->live; k++)
        wide |= is_wide(s->plan->stepping[k]);
    return wide;
}

static bool summed(const scene *s, const gs_tensor *x, const pass *p)
{
    return p->measures || gs_gathers(s, &x->segment, p);
}

static void reduce(scene *s, const pass *p)
{
    const bool measures = p->measures;
    gs_reduce_table *t = NULL;
    for (size_t k = 0; k < s->live; k++) {
        const gs_tensor *x = s->plan->stepping[k];
        const uint32_t sums = measures ? 1 : (uint32_t)x->segment.kernel->sums;
        if (!summed(s, x, p))
            continue;
        if (!t || t->tensors == GS_MANY / 2 || t->sums != sums) {
            gs_launch *made = gs_launch_more(s, 0, GS_REDUCE, 0, GS_SUM_THREADS);
            if (s->found->failed)
                return;
            t = (gs_reduce_table *)(void *)made->argument;
            *t = (gs_reduce_table){
                .record = s->d->record,
                .measured = measures ? s->d->measured : 0,
                .sums = sums,
                .pass = p->pass,
                .again = p->again,
            };
        }
        const size_t number = number_of(s, k);
        t->partial[t->tensors] = s->d->partial[number];
        t->n[t->tensors] = x->segment.n;
        t->number[t->tensors++] = (uint32_t)number;
        s->found->launch[s->found->count - 1].grid = t->tensors;
    }
    if (s->d->shares && t)
        (void)gs_launch_more(s, 0, GS_SHARE, 0, 0);
}

static gs_total_table *begin_total(scene *s, uint32_t sums, uint32_t pass, bool begins)
{
    gs_launch *made = gs_launch_more(s, 0, GS_TOTAL, 1, 1);
    if (s->found->failed)
        return NULL;
    gs_total_table *t = (gs_total_table *)(void *)made->argument;
    *t = (gs_total_table){
        .record = s->d->record,
        .measured = s->d->measured,
        .clip_norm = s->scaling->clip_norm,
        .clip_eps = s->scaling->clip_eps,
        .sums = sums,
        .pass = pass,
        .begins = begins,
        .guard = s->scaling->guard,
        .wide = any_is_wide(s),
    };
    return t;
}

/* Of gradients, also where there are none: their norm is 0. */
static void total(scene *s, bool measures, uint32_t pass)
{
    gs_total_table *t = measures ? begin_total(s, 1, pass, true) : NULL;
    for (size_t k = 0; k < s->live && !s->found->failed; k++) {
        const gs_kernel *kernel = s->plan->stepping[k]->segment.kernel;
        if (!measures && !kernel->across)
            continue;
        if (!t || t->tensors == GS_MANY)
            t = begin_total(s, measures ? 1 : (uint32_t)kernel->sums, pass, !t);
        if (t)
            t->number[t->tensors++] = (uint32_t)number_of(s, k);
    }
    if (t)
        t->ends = true;
}

static void scale(scene *s)
{
    for (size_t k = 0; k < s->live;) {
        gs_launch *made = gs_launch_more(s, 0, GS_SCALE, 0, GS_ONE_EACH);
        if (s->found->failed)
            return;
        gs_scale_table *t = (gs_scale_table *)(void *)made->argument;
        *t = (gs_scale_table){
            .record = s->d->record,
            .measured = s->d->measured,
            .amp_scale = s->d->amp_scale,
            .begins = k == 0,
        };
        for (; k < s->live && t->tensors < GS_MANY; k++) {
            t->scale[t->tensors] = s->plan->stepping[k]->segment.grad_scale;
            t->number[t->tensors++] = (uint32_t)number_of(s, k);
        }
        made->grid = (uint32_t)ceiling(t->tensors, GS_ONE_EACH);
    }
}

/* ---- records ------------------------------------------------------------------------- */

static uint32_t where_lr(const gs_kernel *kernel)
{
    uint32_t at = 0;
    while (kernel->hyper[at] && strcmp(kernel->hyper[at], "lr") != 0)
        at++;
    return at;
}

static void begin_prepare(const scene *s, size_t number, bool again,
                          gs_prepare_table *t)
{
    const gs_tensor *x = s->plan->tensor + number;
    const gs_group *group = s->plan->group + x->group;
    *t = (gs_prepare_table){
        .grad_scale = x->segment.grad_scale,
        .clip_norm = group->clip_norm,
        .clip_eps = group->clip_eps,
        .record = s->d->record,
        .measured = s->d->measured,
        .count = s->d->count,
        .step = s->d->step,
        .scalar = s->d->scalar,
        .lr = s->d->lr[x->group],
        .amp_scale = s->d->amp_scale,
        .found_inf = s->d->found_inf,
        .seed = s->d->seed[number],
        .scalars = s->d->scalars,
        .lr_at = where_lr(x->segment.kernel),
        .lr_is_double = s->d->lr_is_double[x->group] != 0,
        .again = again,
        .across = x->segment.kernel->across,
        .clips = s->clips,
    };
    memcpy(t->hyper, group->hyper, sizeof t->hyper);
}

/* Tensors that follow each other with one kernel and one group's options go together. */
static void prepare(scene *s, bool again)
{
    gs_prepare_table *t = NULL;
    const gs_tensor *last = NULL;
    for (size_t k = 0; k < s->live; k++) {
        const gs_tensor *x = s->plan->stepping[k];
        const size_t number = number_of(s, k);
        if (again && !x->segment.kernel->sums)
            continue;
        if (!t || t->tensors == GS_MANY || last->group != x->group ||
            s->d->kind[last - s->plan->tensor] != s->d->kind[number]) {
            gs_launch *made =
                gs_launch_more(s, s->d->kind[number], GS_PREPARE, 1, GS_ONE_EACH);
            if (s->found->failed)
                return;
            t = (gs_prepare_table *)(void *)made->argument;
            begin_prepare(s, number, again, t);
        }
        t->number[t->tensors] = (uint32_t)number;
        t->place[t->tensors++] = s->d->place[number];
        s->found->launch[s->found->count - 1].grid =
            (uint32_t)ceiling(t->tensors, GS_ONE_EACH);
        last = x;
    }
}

/* ---- a step -------------------------------------------------------------------------- */

static void collect(scene *s)
{
    gs_plan *plan = s->plan;
    for (size_t i = 0; i < plan->tensors; i++) {
        gs_tensor *x = plan->tensor + i;
        if (!x->moving)
            continue;
        x->moving = false;
        x->segment.grad_scale =
            plan->group[x->group].grad_scale * s->scaling->grad_scale;
        plan->stepping[s->live++] = x;
    }
}

static bool measured(const scene *s)
{
    bool clips = s->scaling->clip_norm > 0 || s->scaling->guard;
    for (size_t j = 0; j < s->plan->groups; j++)
        clips |= s->plan->group[j].clip_norm > 0;
    return clips;
}

/* Up to four passes, of which those after the second are for squares that leave the range
 * of double; those after the first end at once where nothing more is to be found. */
static void measure(scene *s)
{
    const uint32_t passes = !s->live         ? GS_NONFINITE
                            : any_is_wide(s) ? GS_FOUND
                                             : GS_FAR;
    scale(s);
    for (uint32_t which = GS_SQUARES; which < passes; which++) {
        const pass gathering = {
            .what = GS_GATHER,
            .threads = GS_SUM_THREADS,
            .chunk = GS_SUMMED,
            .pass = which,
            .kinds = which == GS_NONFINITE ? s->d->nonfinite : s->d->norm,
            .measures = true,
        };
        gs_launch_pass(s, &gathering);
        reduce(s, &gathering);
        total(s, true, which);
    }
}

static void gather(scene *s)
{
    bool sums = false, across = false, squares = false;
    for (size_t k = 0; k < s->live; k++) {
        const gs_tensor *x = s->plan->stepping[k];
        sums |= x->segment.kernel->sums > 0;
        across |= x->segment.kernel->across;
        squares |= x->segment.kernel->squares && is_wide(x);
    }
    if (!sums)
        return;
    pass gathering = {
        .what = GS_GATHER,
        .threads = GS_SUM_THREADS,
        .chunk = GS_SUMMED,
        .kinds = s->d->kind,
    };
    gs_launch_pass(s, &gathering);
    reduce(s, &gathering);
    if (squares) {
        /* All where others have added to sums, which they would add to once more. */
        gathering.again = s->d->shares ? GS_ALL_AGAIN : GS_WHERE_NEEDED;
        gs_launch_pass(s, &gathering);
        reduce(s, &gathering);
    }
    if (across)
        total(s, false, GS_FOUND);
    prepare(s, true);
}

/* Few elements are cut finer, so that all processors have some. */
static uint32_t chunk_of(const scene *s)
{
    size_t all = 0;
    for (size_t k = 0; k < s->live; k++)
        all += s->plan->stepping[k]->segment.n;
    return all / CHUNK < (size_t)8 * s->d->processors ? FEWER : CHUNK;
}

void gs_device_step(const gs_device *d, gs_plan *plan, const gs_scaling *scaling,
                    gs_launches *found)
{
    scene s = {.d = d, .plan = plan, .scaling = scaling, .found = found};
    found->count = 0;
    found->failed = false;
    collect(&s);
    s.clips = measured(&s);
    if (s.clips)
        measure(&s);
    prepare(&s, false);
    gather(&s);
    const pass stepping = {
        .what = GS_STEP,
        .threads = GS_STEP_THREADS,
        .chunk = chunk_of(&s),
        .kinds = d->kind,
    };
    gs_launch_pass(&s, &stepping);
}
