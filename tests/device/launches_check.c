/* launches_check.c: every tensor that moves is in the tables of launches.c as often as it
 * has to be, with its own arrays, and nothing else is. Built with the sanitizers. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "launches.h"

enum { KINDS = 3, GROUPS = 3, SUMS_CHUNK = 131072 };

static const char *const hyper[] = {"beta", "lr", NULL};
static const char *const state[] = {"m", "v", NULL};
/* By kind: without sums, with those of a tensor, with those over all. */
static gs_kernel kernels[KINDS] = {
    {.rule = "plain", .hyper = hyper, .state = state},
    {.rule = "sums", .hyper = hyper, .state = state, .sums = 2},
    {.rule = "across", .hyper = hyper, .state = state, .sums = 3, .across = true},
};

/* Of each tensor: in how many tables it was. */
typedef struct seen {
    unsigned prepared, again, stepped, gathered, measured[GS_FOUND];
    unsigned scaled, reduced, totalled;
} seen;

typedef struct trial {
    size_t tensors;
    gs_plan plan;
    gs_device device;
    gs_launches found;
    seen *seen;
} trial;

static void *room(size_t count, size_t size)
{
    void *made = calloc(count ? count : 1, size);
    assert(made);
    return made;
}

static uint64_t address(size_t number, size_t array)
{
    return 0x100000 * (number + 1) + 0x1000 * array;
}

static size_t ceiling(size_t n, size_t by)
{
    return (n + by - 1) / by;
}

static trial begin(size_t tensors, size_t longest)
{
    trial x = {.tensors = tensors, .seen = room(tensors, sizeof *x.seen)};
    x.plan = (gs_plan){.tensors = tensors, .groups = GROUPS};
    x.plan.tensor = room(tensors, sizeof *x.plan.tensor);
    x.plan.group = room(GROUPS, sizeof *x.plan.group);
    x.plan.stepping = room(tensors, sizeof(gs_tensor *));
    uint32_t *kind = room(tensors, 4), *norm = room(tensors, 4);
    uint32_t *nonfinite = room(tensors, 4), *place = room(tensors, 4);
    uint64_t *partial = room(tensors, 8), *seed = room(tensors, 8);
    for (size_t i = 0; i < tensors; i++) {
        gs_tensor *t = x.plan.tensor + i;
        kind[i] = (uint32_t)(i / 2 % KINDS);
        norm[i] = KINDS;
        nonfinite[i] = KINDS + 1;
        place[i] = (uint32_t)(1000 + i);
        partial[i] = address(i, 9);
        t->group = i / 5 % GROUPS;
        t->moving = i % 7 != 3;
        t->segment = (gs_segment){
            .kernel = kernels + kind[i],
            .p = (void *)(uintptr_t)address(i, 0),
            .g = (void *)(uintptr_t)address(i, 1),
            .state = {(void *)(uintptr_t)address(i, 2),
                      (void *)(uintptr_t)address(i, 3)},
            .n = i % 11 == 5 ? 0 : 1 + i * 977 % longest,
        };
    }
    for (size_t j = 0; j < GROUPS; j++)
        x.plan.group[j] = (gs_group){.hyper = {(double)j}, .grad_scale = 1};
    x.device = (gs_device){.record = 1, .measured = 2, .processors = 4, .scalars = 1};
    x.device.kind = kind, x.device.norm = norm, x.device.nonfinite = nonfinite;
    x.device.place = place, x.device.partial = partial, x.device.seed = seed;
    x.device.lr = room(GROUPS, 8), x.device.lr_is_double = room(GROUPS, 8);
    return x;
}

static void check_prepare(trial *x, const gs_launch *l)
{
    const gs_prepare_table *t = (const void *)l->argument;
    assert(0 < t->tensors && t->tensors <= GS_MANY);
    assert(l->grid == ceiling(t->tensors, GS_ONE_EACH) && l->threads == GS_ONE_EACH);
    assert(t->lr_at == 1);
    for (size_t k = 0; k < t->tensors; k++) {
        const size_t i = t->number[k];
        assert(x->device.kind[i] == l->kind && t->place[k] == 1000 + i);
        assert(t->hyper[0] == (double)x->plan.tensor[i].group);
        assert(t->across == kernels[l->kind].across);
        *(t->again ? &x->seen[i].again : &x->seen[i].prepared) += 1;
    }
}

/* The arrays of a tensor, which of a pass over gradients is one. */
static void check_arrays(const gs_launch *l, size_t slots, size_t k, size_t i)
{
    const size_t most = GS_MOST(slots);
    const uint64_t *slot = (const void *)(l->argument + sizeof(gs_head));
    const bool measures = l->kind >= KINDS;
    for (size_t a = 0; a < (measures ? 2 : 4); a++)
        assert(slot[a * most + k] == (measures && a == 0 ? 0 : address(i, a)));
    if (l->what == GS_GATHER)
        assert(slot[(slots - 1) * most + k] == address(i, 9));
}

static void check_elements(trial *x, const gs_launch *l)
{
    const gs_head *head = (const void *)l->argument;
    const size_t gathers = l->what == GS_GATHER;
    const size_t slots = (l->kind < KINDS ? 4 : 2) + gathers, most = GS_MOST(slots);
    const uint64_t *n =
        (const uint64_t *)(const void *)(l->argument + sizeof *head) + slots * most;
    const uint32_t *start = (const uint32_t *)(n + most), *number = start + most;
    assert((const unsigned char *)(number + most) <= l->argument + GS_ARGUMENT);
    assert(0 < head->tensors && head->tensors <= most);
    assert(!gathers || head->chunk == SUMS_CHUNK);
    assert(l->threads == (gathers ? GS_SUM_THREADS : GS_STEP_THREADS));
    size_t blocks = 0;
    for (size_t k = 0; k < head->tensors; k++) {
        const size_t i = number[k];
        assert(n[k] == x->plan.tensor[i].segment.n && n[k] > 0 && start[k] == blocks);
        check_arrays(l, slots, k, i);
        blocks += ceiling(n[k], head->chunk);
        seen *s = x->seen + i;
        unsigned *of_pass = gathers ? &s->gathered : &s->stepped;
        *(l->kind < KINDS ? of_pass : &s->measured[head->pass]) += 1;
        assert(l->kind == (l->kind < KINDS              ? x->device.kind[i]
                           : head->pass == GS_NONFINITE ? KINDS + 1
                                                        : KINDS));
    }
    assert(l->grid == blocks);
}

static void check_others(trial *x, const gs_launch *l)
{
    if (l->what == GS_SCALE) {
        const gs_scale_table *t = (const void *)l->argument;
        assert(l->grid == ceiling(t->tensors, GS_ONE_EACH));
        for (size_t k = 0; k < t->tensors; k++)
            x->seen[t->number[k]].scaled++;
    } else if (l->what == GS_REDUCE) {
        const gs_reduce_table *t = (const void *)l->argument;
        assert(l->grid == t->tensors && t->tensors <= GS_MANY / 2);
        for (size_t k = 0; k < t->tensors; k++) {
            const size_t i = t->number[k];
            assert(t->partial[k] == address(i, 9));
            assert(t->n[k] == x->plan.tensor[i].segment.n);
            assert(t->sums ==
                   (t->measured ? 1 : x->plan.tensor[i].segment.kernel->sums));
            x->seen[i].reduced++;
        }
    } else {
        const gs_total_table *t = (const void *)l->argument;
        assert(l->what == GS_TOTAL && t->tensors <= GS_MANY);
        for (size_t k = 0; k < t->tensors; k++)
            x->seen[t->number[k]].totalled++;
    }
}

static void check(trial *x, const bool *moving, unsigned passes)
{
    for (size_t k = 0; k < x->found.count; k++) {
        const gs_launch *l = x->found.launch + k;
        if (l->what == GS_PREPARE)
            check_prepare(x, l);
        else if (l->what == GS_GATHER || l->what == GS_STEP)
            check_elements(x, l);
        else
            check_others(x, l);
    }
    for (size_t i = 0; i < x->tensors; i++) {
        const gs_segment *t = &x->plan.tensor[i].segment;
        const seen *s = x->seen + i;
        const unsigned on = moving[i], any = on && t->n > 0, sums = t->kernel->sums > 0;
        assert(s->prepared == on && s->again == (on && sums));
        assert(s->stepped == any && s->gathered == (any && sums));
        for (unsigned pass = 0; pass < GS_FOUND; pass++)
            assert(s->measured[pass] == (any && pass < passes));
        assert(s->scaled == (on && passes) && s->reduced == on * (passes + sums));
        assert(s->totalled == on * (passes + t->kernel->across));
    }
}

static void end(trial *x, bool *moving)
{
    gs_launches_free(&x->found);
    const void *const all[] = {x->seen,
                               x->plan.tensor,
                               x->plan.group,
                               x->plan.stepping,
                               x->device.kind,
                               x->device.norm,
                               x->device.nonfinite,
                               x->device.place,
                               x->device.partial,
                               x->device.seed,
                               x->device.lr,
                               x->device.lr_is_double,
                               moving};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        free((void *)(uintptr_t)all[k]);
}

/* Squares of doubles may need one pass more. */
static unsigned passes_of(const trial *x, const bool *moving)
{
    for (size_t i = 0; i < x->tensors; i++)
        if (moving[i] && x->plan.tensor[i].segment.kernel->state_size == 8)
            return GS_FOUND;
    return GS_FAR;
}

static void try(size_t tensors, bool clips)
{
    trial x = begin(tensors, clips ? 300000 : 3000);
    bool *moving = room(tensors, sizeof *moving);
    for (size_t i = 0; i < tensors; i++)
        moving[i] = x.plan.tensor[i].moving;
    const gs_scaling scaling = {.grad_scale = 2, .clip_norm = clips};
    gs_device_step(&x.device, &x.plan, &scaling, &x.found);
    assert(!x.found.failed);
    check(&x, moving, clips ? passes_of(&x, moving) : 0);
    end(&x, moving);
}

int main(void)
{
    static const size_t counts[] = {0, 1, 2, 8, 81, 82, 83, 500, 2500};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (int wide = 0; wide < 2; wide++) {
            kernels[KINDS - 1].state_size = wide ? 8 : 4;
            try(counts[c], false);
            try(counts[c], true);
        }
    puts("done");
    return 0;
}
