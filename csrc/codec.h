/* codec.h: numbers of float arithmetic in fewer bits of memory, and back. Rules do not
 * know: staged.c puts the numbers before them. Compiled once per CPU level, codec.c. */
#ifndef GRADSTEP_CODEC_H
#define GRADSTEP_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "bounds.h"

/* An array in code. */
typedef struct gs_coded {
    const struct gs_codec *codec; /* NULL: the numbers themselves, not here */
    void *data;
    void *beside; /* the low halves, or a float scale for each GS_SCALED elements */
    uint64_t key; /* of the random numbers of this step */
} gs_coded;

typedef struct gs_codec {
    const char *name;
    size_t size;        /* bytes of an element of `data` */
    size_t beside_size; /* bytes of one of `beside`, 0 if there is none */
    size_t share;       /* elements that share one; `from` is a multiple of it */
    /* Elements [from, from + n), to and from x. */
    void (*decode)(const gs_coded *a, size_t from, size_t n, float *x);
    void (*encode)(const gs_coded *a, size_t from, size_t n, const float *x);
} gs_codec;

#endif
