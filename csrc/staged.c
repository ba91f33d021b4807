/* staged.c: arrays in code, through the kernels of float. A piece of each array that is in
 * code is decoded to the first cache, stepped there, and encoded; what is not in code is
 * stepped where it is. So every rule has every code, and no rule is compiled for it. */
#include "staged.h"

#include <string.h>

#include "line.h"

enum {
    PIECE = 512, /* elements, of steps; sums need whole blocks */
    ARRAYS = 2 + GS_MAX_STATE,
    APART = GS_LINE /
        sizeof(float), /* between rooms: else all begin in one cache set */
};

_Static_assert((int)PIECE <= (int)GS_BLOCK, "take_over has room for a block");
_Static_assert((int)PIECE % (int)GS_SCALED == 0, "a piece begins where a scale does");
_Static_assert(GS_BLOCK % GS_SCALED == 0, "and so does a block");

/* A segment of plain numbers, made once and moved from piece to piece. Arrays that are
 * not in code stay whole; what is decoded stands in rooms. Where only the gradient is in
 * code, a piece costs two calls and little else. */
typedef struct stage {
    gs_segment part;
    size_t count;
    struct {
        const gs_coded *from;
        float *room;
        void *place; /* of the pointer in `part` */
        bool written;
    } coded[ARRAYS];
} stage;

static void add(stage *s, const gs_coded *from, float *rooms, size_t piece, void *place,
                bool written)
{
    if (!from->codec)
        return;
    const size_t k = s->count++;
    s->coded[k].from = from;
    s->coded[k].room = rooms + k * (piece + APART);
    s->coded[k].place = place;
    s->coded[k].written = written;
}

static void set_stage(stage *s, const gs_segment *from, float *rooms, size_t piece,
                      bool steps)
{
    const bool written =
        steps ? !from->storage->reads : from->kernel->advances && !from->unit;
    const gs_storage *in = from->storage;
    s->part = *from;
    s->part.storage = NULL;
    s->count = 0;
    add(s, &in->g, rooms, piece, &s->part.g, false);
    if (from->kernel->only_g)
        return;
    if (!in->master)
        add(s, &in->p, rooms, piece, &s->part.p, steps);
    for (size_t k = 0; from->kernel->state[k]; k++)
        add(s, in->state + k, rooms, piece, s->part.state + k, written);
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

/* Brings the codes of elements [from, to) while a kernel has the piece before them: to
 * decode takes less long than to wait for them. */
static void fetch(const gs_coded *a, size_t from, size_t to)
{
    if (!a->codec)
        return;
    const char *code = a->data;
    for (size_t at = from * a->codec->size; at < to * a->codec->size; at += GS_LINE)
        __builtin_prefetch(code + at);
}

/* The kernel is given where whole arrays would begin if [at, at + n) were in the rooms. */
static void open_piece(stage *s, size_t at, size_t n)
{
    for (size_t k = 0; k < s->count; k++) {
        float *room = s->coded[k].room;
        const uintptr_t whole = (uintptr_t)room - at * sizeof *room;
        s->coded[k].from->codec->decode(s->coded[k].from, at, n, room);
        memcpy(s->coded[k].place, &whole, sizeof whole);
    }
}

static void close_piece(const stage *s, size_t at, size_t n)
{
    for (size_t k = 0; k < s->count; k++)
        if (s->coded[k].written)
            s->coded[k].from->codec->encode(s->coded[k].from, at, n, s->coded[k].room);
}

static size_t piece_end(size_t at, size_t end)
{
    return end - at < PIECE ? end : at + PIECE;
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
    _Alignas(GS_LINE) float rooms[ARRAYS * (PIECE + APART)];
    const gs_coded *p = &s->storage->p;
    float *master = s->storage->master ? s->p : NULL;
    /* Pieces of a parameter that is stepped where it is begin on cache lines. */
    const bool free = !in_blocks(s) && (master || !p->codec);
    const float *first = (const float *)s->p + begin;
    size_t to = free ? gs_line_start(first, sizeof *first, begin, end) : begin;
    stage stage;
    set_stage(&stage, s, rooms, PIECE, true);
    for (size_t at = begin; at < end; at = to) {
        to = to > at ? to : piece_end(at, end);
        if (master)
            take_over(p, master + at, at, to - at);
        open_piece(&stage, at, to - at);
        fetch(&s->storage->g, to, piece_end(to, end));
        s->kernel->step(&stage.part, at, to);
        close_piece(&stage, at, to - at);
        if (master)
            p->codec->encode(p, at, to - at, master + at);
    }
}

void gs_staged_gather(const gs_segment *s, size_t begin, size_t end)
{
    _Alignas(GS_LINE) float rooms[ARRAYS * (GS_BLOCK + APART)];
    stage stage;
    set_stage(&stage, s, rooms, GS_BLOCK, false);
    for (size_t at = begin; at < end; at += GS_BLOCK) {
        const size_t n = end - at < GS_BLOCK ? end - at : GS_BLOCK;
        if (s->storage->master && !s->kernel->only_g)
            take_over(&s->storage->p, (float *)s->p + at, at, n);
        open_piece(&stage, at, n);
        s->kernel->gather(&stage.part, at, at + n);
        close_piece(&stage, at, n);
    }
}

void gs_staged_begin(const gs_segment *s)
{
    _Alignas(GS_LINE) float room[PIECE];
    for (size_t at = 0, n; at < s->n; at += n) {
        n = s->n - at < PIECE ? s->n - at : PIECE;
        float *p = (float *)s->p + at; /* at any address */
        if (s->storage->master)
            take_over(&s->storage->p, p, at, n);
        if (s->storage->master || !s->storage->p.codec)
            memcpy(room, p, n * sizeof *p);
        else
            s->storage->p.codec->decode(&s->storage->p, at, n, room);
        for (int k = 0; k < GS_MAX_STATE; k++) {
            const gs_coded *state = s->storage->state + k;
            if (!(s->kernel->copies >> k & 1))
                continue;
            if (state->codec)
                state->codec->encode(state, at, n, room);
            else
                memcpy((float *)s->state[k] + at, room, n * sizeof *room);
        }
    }
}
