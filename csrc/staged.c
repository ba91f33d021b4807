/* staged.c: arrays in code, through the kernels of float. A piece of each array that is in
 * code is decoded to the first cache, stepped there, and encoded; what is not in code is
 * stepped where it is. So every rule has every code, and no rule is compiled for it. */
#include "staged.h"

#include <string.h>

#include "line.h"

enum {
    PIECE = 1024, /* elements, of steps; sums need whole blocks */
    ARRAYS = 2 + GS_MAX_STATE,
    APART = GS_LINE /
        sizeof(float), /* between rooms: else all begin in one cache set */
};

/* A piece of a segment, and the rooms that its decoded arrays stand in. */
typedef struct stage {
    gs_segment part;
    float *next;
    size_t apart;
} stage;

static void *opened(stage *s, const gs_coded *a, const void *plain, size_t at, size_t n)
{
    if (!a->codec)
        return plain ? (float *)plain + at : NULL;
    float *x = s->next;
    s->next += s->apart;
    a->codec->decode(a, at, n, x);
    return x;
}

static void closed(const gs_coded *a, size_t at, size_t n, const void *x)
{
    if (a->codec)
        a->codec->encode(a, at, n, x);
}

/* Elements [at, at + n) as a segment of plain numbers. */
static void open_piece(stage *s, const gs_segment *from, size_t at, size_t n)
{
    static const gs_coded plain = {0};
    const gs_storage *in = from->storage;
    s->part = *from;
    s->part.storage = NULL;
    s->part.n = n;
    s->part.g = opened(s, &in->g, from->g, at, n);
    if (from->kernel->only_g)
        return;
    s->part.p = opened(s, in->master ? &plain : &in->p, from->p, at, n);
    for (size_t k = 0; from->kernel->state[k]; k++)
        s->part.state[k] = opened(s, in->state + k, from->state[k], at, n);
}

static void close_states(const stage *s, const gs_storage *in, size_t at, size_t n)
{
    for (size_t k = 0; s->part.kernel->state[k]; k++)
        closed(in->state + k, at, n, s->part.state[k]);
}

static bool in_blocks(const gs_segment *s)
{
    bool found = false;
    for (size_t k = 0; s->kernel->state[k]; k++)
        found |= s->storage->state[k].codec && s->storage->state[k].codec->share > 1;
    return found;
}

void gs_staged_step(const gs_segment *s, size_t begin, size_t end)
{
    _Alignas(GS_LINE) float room[ARRAYS * (PIECE + APART)];
    /* Pieces of a parameter that is stepped where it is begin on cache lines. */
    const bool free = !in_blocks(s) && (s->storage->master || !s->storage->p.codec);
    const float *p = (const float *)s->p + begin;
    size_t to = free ? gs_line_start(p, sizeof *p, begin, end) : begin;
    for (size_t at = begin; at < end; at = to) {
        stage stage = {.next = room, .apart = PIECE + APART};
        to = to > at ? to : end - at < PIECE ? end : at + PIECE;
        open_piece(&stage, s, at, to - at);
        s->kernel->step(&stage.part, 0, to - at);
        closed(&s->storage->p, at, to - at, stage.part.p);
        close_states(&stage, s->storage, at, to - at);
    }
}

void gs_staged_gather(const gs_segment *s, size_t begin, size_t end)
{
    _Alignas(GS_LINE) float room[ARRAYS * (GS_BLOCK + APART)];
    for (size_t at = begin; at < end; at += GS_BLOCK) {
        const size_t n = end - at < GS_BLOCK ? end - at : GS_BLOCK;
        stage stage = {.next = room, .apart = GS_BLOCK + APART};
        open_piece(&stage, s, at, n);
        stage.part.partial = s->partial + at / GS_BLOCK * s->kernel->sums;
        s->kernel->gather(&stage.part, 0, n);
        if (!s->kernel->only_g)
            close_states(&stage, s->storage, at, n);
    }
}

void gs_staged_begin(const gs_segment *s, bool master, bool copies)
{
    _Alignas(GS_LINE) float room[PIECE];
    const gs_storage *in = s->storage;
    for (size_t at = 0, n; at < s->n; at += n) {
        n = s->n - at < PIECE ? s->n - at : PIECE;
        const float *p = in->master || !in->p.codec ? (float *)s->p + at : room;
        if (master && in->p.codec)
            in->p.codec->decode(&in->p, at, n, (float *)s->p + at);
        else if (p == room)
            in->p.codec->decode(&in->p, at, n, room);
        for (int k = 0; copies && k < GS_MAX_STATE; k++) {
            if (!(s->kernel->copies >> k & 1))
                continue;
            if (in->state[k].codec)
                in->state[k].codec->encode(in->state + k, at, n, p);
            else
                memcpy((float *)s->state[k] + at, p, n * sizeof *p);
        }
    }
}
