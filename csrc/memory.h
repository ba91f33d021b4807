/* memory.h: where arrays start decides the speed of a step (design in README.md). */
#ifndef GRADSTEP_MEMORY_H
#define GRADSTEP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum { GS_HUGE_PAGE = 1 << 21 };

typedef struct gs_memory {
    void *data;
    void *block;  /* what to give back */
    size_t bytes; /* of block, if it was mapped; 0 if it came from malloc */
} gs_memory;

/* `bytes` bytes, `residue` bytes past a cache line; large arrays stand that far past a
 * huge page and ask for huge pages. Zeroed if asked. false if memory is short. */
bool gs_memory_new(gs_memory *memory, size_t bytes, size_t residue, bool zeroed);
void gs_memory_free(gs_memory *memory);

#endif
