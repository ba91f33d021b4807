/* scaled.c: gradients whose scale does not fit the type of their arithmetic. They are
 * scaled in double, a block at a time, before a kernel sees them; so that the loops of
 * rules need no second factor. */
#include "scaled.h"

#include <stdint.h>
#include <string.h>

#include "line.h"
#include "measure.h"
#include "staged.h"

typedef union block {
    float f32[GS_BLOCK];
    double f64[GS_BLOCK];
} block;

/* Elements [at, at + n) of the gradient, scaled. */
static void scale_block(const gs_segment *s, size_t at, size_t n, block *out)
{
    const gs_coded *g = s->storage ? &s->storage->g : NULL;
    const bool wide = s->kernel->state_size == sizeof *out->f64;
    const size_t size = wide ? sizeof *out->f64 : sizeof *out->f32;
    if (g && g->codec)
        g->codec->decode(g, at, n, out->f32);
    else
        memcpy(out, (const char *)s->g + at * size, n * size);
    for (size_t k = 0; wide && k < n; k++)
        out->f64[k] = scaled_exactly(out->f64[k], s->grad_scale, s->grad_power);
    for (size_t k = 0; !wide && k < n; k++)
        out->f32[k] = (float)scaled_exactly(out->f32[k], s->grad_scale, s->grad_power);
}

typedef void range(const gs_segment *, size_t begin, size_t end);

static void run_blocks(const gs_segment *s, size_t begin, size_t end, range *staged,
                       range *plain)
{
    _Alignas(GS_LINE) block scaled;
    gs_storage storage;
    gs_segment part = *s;
    part.grad_scale = part.grad_power = 1;
    if (s->storage) {
        storage = *s->storage;
        storage.g.codec = NULL;
        part.storage = &storage;
    }
    for (size_t at = begin; at < end; at += GS_BLOCK) {
        const size_t n = end - at < GS_BLOCK ? end - at : GS_BLOCK;
        /* The kernel is given where a whole gradient would begin. */
        const uintptr_t whole = (uintptr_t)&scaled - at * s->kernel->state_size;
        scale_block(s, at, n, &scaled);
        memcpy(&part.g, &whole, sizeof whole);
        (s->storage ? staged : plain)(&part, at, at + n);
    }
}

void gs_scaled_step(const gs_segment *s, size_t begin, size_t end)
{
    run_blocks(s, begin, end, gs_staged_step, s->kernel->step);
}

void gs_scaled_gather(const gs_segment *s, size_t begin, size_t end)
{
    run_blocks(s, begin, end, gs_staged_gather, s->kernel->gather);
}
