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

/* What others have written to p since it was encoded replaces the master, which is 0 at
 * first: elements whose codes are not those of the master. n is at most a block. */
static void take_over(const gs_coded *p, float *master, size_t at, size_t n)
{
    uint16_t then[GS_BLOCK];
    const char *now = (const char *)p->data + at * sizeof *then;
    const gs_coded encoded = {.codec = p->codec, .data = then};
    p->codec->encode(&encoded, 0, n, master);
    if (memcmp(then, now, n * sizeof *then) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(then + i, now + i * sizeof *then, sizeof *then) != 0)
            p->codec->decode(p, at + i, 1, master + i);
}

/* The parameter as it is stepped. */
static void *opened_parameter(stage *s, const gs_segment *from, size_t at, size_t n)
{
    if (!from->storage->master)
        return opened(s, &from->storage->p, from->p, at, n);
    take_over(&from->storage->p, (float *)from->p + at, at, n);
    return (float *)from->p + at;
}

/* Elements [at, at + n) as a segment of plain numbers. */
static void open_piece(stage *s, const gs_segment *from, size_t at, size_t n)
{
    const gs_storage *in = from->storage;
    s->part = *from;
    s->part.storage = NULL;
    s->part.n = n;
    s->part.g = opened(s, &in->g, from->g, at, n);
    if (from->kernel->only_g)
        return;
    s->part.p = opened_parameter(s, from, at, n);
    for (size_t k = 0; from->kernel->state[k]; k++)
        s->part.state[k] = opened(s, in->state + k, from->state[k], at, n);
}

static void close_states(const stage *s, const gs_storage *in, size_t at, size_t n)
{
    for (size_t k = 0; s->part.kernel->state[k] && !in->reads; k++)
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

void gs_staged_begin(const gs_segment *s)
{
    _Alignas(GS_LINE) float room[PIECE];
    for (size_t at = 0, n; at < s->n; at += n) {
        n = s->n - at < PIECE ? s->n - at : PIECE;
        stage stage = {.next = room};
        const float *p = opened_parameter(&stage, s, at, n);
        if (p != room) /* at any address */
            p = memcpy(room, p, n * sizeof *p);
        for (int k = 0; k < GS_MAX_STATE; k++) {
            const gs_coded *state = s->storage->state + k;
            if (!(s->kernel->copies >> k & 1))
                continue;
            if (state->codec)
                closed(state, at, n, p);
            else
                memcpy((float *)s->state[k] + at, p, n * sizeof *p);
        }
    }
}
