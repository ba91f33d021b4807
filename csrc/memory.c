/* memory.c: the only file that asks the operating system for pages. */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "line.h"
#include "run.h"

static void *past(void *at, size_t align, size_t residue)
{
    const uintptr_t up = ((uintptr_t)at + align - 1) / align * align;
    return (void *)(up + residue);
}

static bool map(gs_memory *memory, size_t bytes, size_t residue)
{
    memory->bytes = bytes + residue + GS_HUGE_PAGE;
    memory->block = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory->block == MAP_FAILED)
        return false;
    memory->data = past(memory->block, GS_HUGE_PAGE, residue);
#ifdef MADV_HUGEPAGE
    /* A hint: where it is refused, small pages serve. Whole pages only, or the last few
     * bytes of an array would take a huge page of their own. */
    (void)madvise((char *)memory->data - residue,
                  (residue + bytes) / GS_HUGE_PAGE * GS_HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return true;
}

static bool take(gs_memory *memory, size_t bytes, size_t residue)
{
    memory->bytes = 0;
    memory->block = malloc(bytes + residue + GS_LINE);
    if (!memory->block)
        return false;
    memory->data = past(memory->block, GS_LINE, residue);
    return true;
}

bool gs_memory_new(gs_memory *memory, size_t bytes, size_t residue, bool zeroed)
{
    *memory = (gs_memory){0};
    if (bytes > SIZE_MAX - 2 * (size_t)GS_HUGE_PAGE)
        return false;
    if (!(bytes < GS_HUGE_PAGE ? take : map)(memory, bytes, residue)) {
        *memory = (gs_memory){0};
        return false;
    }
    /* Fresh mappings are zero, but writing places their pages, in parallel. */
    if (zeroed)
        gs_zero(memory->data, bytes);
    return true;
}

void gs_memory_free(gs_memory *memory)
{
    if (memory->bytes)
        munmap(memory->block, memory->bytes);
    else
        free(memory->block);
    *memory = (gs_memory){0};
}
