/* line.h: where the vectors of a segment should start. */
#ifndef GRADSTEP_LINE_H
#define GRADSTEP_LINE_H

#include <stddef.h>
#include <stdint.h>

enum { GS_LINE = 64 }; /* bytes of a cache line, and of the widest vector */

/* The first index in [begin, end] whose element stands on a cache line, given the
 * address of element `begin`; `begin` itself if no element ever will. */
static inline size_t gs_line_start(const void *at, size_t size, size_t begin,
                                   size_t end)
{
    const size_t past = (uintptr_t)at % GS_LINE;
    if (past % size != 0)
        return begin;
    const size_t head = past ? (GS_LINE - past) / size : 0;
    return head < end - begin ? begin + head : end;
}

#endif
