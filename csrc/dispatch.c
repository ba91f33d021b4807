/* dispatch.c: CPU level -> table. A level is asked for whole: a CPU that has AVX-512F
 * but not all of x86-64-v4 (or whose operating system does not save the registers) must
 * not be given v4 code. isa.def is made by meson.build from the list of levels, best
 * first. */
#include "dispatch.h"

#include <stdbool.h>
#include <string.h>

#define ISA(name, cpu) extern const gs_table gs_table_##name;
#include "isa.def"
#undef ISA

#define ISA(name, cpu) #name,
const char *const gs_isa_names[] = {
#include "isa.def"
    NULL,
};
#undef ISA

#define ALWAYS 1
#define X86(level) __builtin_cpu_supports(level)

const gs_table *gs_dispatch(const char *cap)
{
    bool allowed = cap == NULL;
#define ISA(name, cpu)                                                                 \
    allowed = allowed || strcmp(cap, #name) == 0;                                      \
    if (allowed && (cpu))                                                              \
        return &gs_table_##name;
#include "isa.def"
#undef ISA
    return NULL;
}

const gs_kernel *gs_find(const gs_table *table, const char *rule, const char *dtype)
{
    for (const gs_kernel *const *k = table->kernel; *k; k++)
        if (strcmp((*k)->rule, rule) == 0 && strcmp((*k)->dtype, dtype) == 0)
            return *k;
    return NULL;
}
