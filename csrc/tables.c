/* tables.c: arrays of tensors, in tables that a launch passes by value. */
#include "launching.h"

enum { SLOTS = 3 + 2 * GS_MAX_STATE + 1 };
_Static_assert(GS_MOST(SLOTS) > 0, "a launch has room for a tensor with all arrays");

/* The arrays of a tensor, in the order of rule_device.h; returns how many. */
static size_t arrays_of(const gs_segment *x, uint64_t slot[SLOTS])
{
    static const gs_storage nothing;
    const gs_storage *in = x->storage ? x->storage : &nothing;
    size_t n = 0, states = 0;
    slot[n++] = (uintptr_t)(in->p.codec ? in->p.data : x->p);
    slot[n++] = (uintptr_t)(in->g.codec ? in->g.data : x->g);
    if (in->master)
        slot[n++] = (uintptr_t)x->p;
    else if (in->p.codec && in->p.codec->beside_size)
        slot[n++] = (uintptr_t)in->p.beside;
    for (; x->kernel->state[states]; states++)
        slot[n++] = (uintptr_t)(in->state[states].codec ? in->state[states].data
                                                        : x->state[states]);
    for (size_t k = 0; k < states; k++)
        if (in->state[k].codec && in->state[k].codec->beside_size)
            slot[n++] = (uintptr_t)in->state[k].beside;
    return n;
}

/* The same for what only looks at the gradient. */
static size_t gradient_of(const gs_segment *x, uint64_t slot[SLOTS])
{
    uint64_t all[SLOTS];
    (void)arrays_of(x, all);
    slot[0] = 0;
    slot[1] = all[1];
    return 2;
}

/* Tensors that one launch takes, and those of it that are there already. */
typedef struct filling {
    gs_launch *at;
    size_t slots, most, blocks;
    uint32_t tensors;
} filling;

static void add(filling *f, const gs_segment *x, const uint64_t *slot, uint32_t number,
                uint32_t chunk)
{
    unsigned char *base = f->at->argument + sizeof(gs_head);
    uint64_t *slots = (uint64_t *)(void *)base, *n = slots + f->slots * f->most;
    uint32_t *start = (uint32_t *)(void *)(n + f->most), *numbers = start + f->most;
    for (size_t k = 0; k < f->slots; k++)
        slots[k * f->most + f->tensors] = slot[k];
    n[f->tensors] = x->n;
    start[f->tensors] = (uint32_t)f->blocks;
    numbers[f->tensors++] = number;
    f->blocks += ceiling(x->n, chunk);
    f->at->grid = (uint32_t)f->blocks;
    ((gs_head *)(void *)f->at->argument)->tensors = f->tensors;
}

static void run_kind(scene *s, const pass *p, uint32_t kind)
{
    filling f = {0};
    for (size_t k = 0; k < s->live; k++) {
        const size_t number = number_of(s, k);
        const gs_segment *x = &s->plan->stepping[k]->segment;
        if (p->kinds[number] != kind || x->n == 0 ||
            (p->what == GS_GATHER && !p->measures && !gs_gathers(s, x, p)))
            continue;
        uint64_t slot[SLOTS];
        size_t slots = p->measures ? gradient_of(x, slot) : arrays_of(x, slot);
        if (p->what == GS_GATHER)
            slot[slots++] = s->d->partial[number];
        if (!f.at || f.tensors == f.most) {
            f = (filling){.slots = slots, .most = GS_MOST(slots)};
            f.at = gs_launch_more(s, kind, p->what, 0, p->threads);
            if (s->found->failed)
                return;
            *(gs_head *)(void *)f.at->argument = (gs_head){
                .record = s->d->record,
                .measured = p->measures ? s->d->measured : 0,
                .chunk = p->chunk,
                .pass = p->pass,
                .again = p->again,
            };
        }
        add(&f, x, slot, (uint32_t)number, p->chunk);
    }
}

void gs_launch_pass(scene *s, const pass *p)
{
    for (size_t k = 0; k < s->live; k++) {
        const uint32_t kind = p->kinds[number_of(s, k)];
        bool seen = false;
        for (size_t j = 0; j < k && !seen; j++)
            seen = p->kinds[number_of(s, j)] == kind;
        if (!seen)
            run_kind(s, p, kind);
    }
}
