/* fake_driver.c: a libcuda.so.1 that launches nothing, but tells what it was asked. Only
 * what gradstep calls, and what the bindings need to find that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, NOT_FOUND = 500, LAUNCHES = 4096, ARGUMENT = 4096 };

typedef struct launch {
    uintptr_t function, stream;
    unsigned grid[3], block[3], shared;
    unsigned char argument[ARGUMENT];
} launch;

/* Read and set by the test, through ctypes. */
launch fake_launches[LAUNCHES];
atomic_int fake_launched, fake_libraries, fake_functions;
static _Thread_local void *current; /* context, of which a thread has none at first */
size_t fake_argument_bytes; /* of the kernel's parameter, which its cubin would tell */
char fake_failing[64];      /* which function fails, and how */
int fake_error;

static int result(const char *function)
{
    return strcmp(function, fake_failing) == 0 ? fake_error : SUCCESS;
}

int cuLibraryLoadData(void **library, const void *code, void *options, void *values,
                      unsigned count, void *more, void *more_values,
                      unsigned more_count)
{
    (void)options, (void)values, (void)more, (void)more_values;
    if (memcmp(code, "\177ELF", 4) != 0 || count != 0 || more_count != 0)
        return NOT_FOUND;
    *library = (void *)(uintptr_t)(0x1000 + atomic_fetch_add(&fake_libraries, 1));
    return result(__func__);
}

/* Kernels are called by a letter, or what gradstep's are called, of which the fourth letter
 * is another for each of a module. */
int cuLibraryGetKernel(void **kernel, void *library, const char *name)
{
    const bool ours = strncmp(name, "gs_", 3) == 0;
    if (!ours && strlen(name) != 1)
        return NOT_FOUND;
    *kernel = (void *)((uintptr_t)library << 8 | (unsigned char)name[ours ? 3 : 0]);
    return result(__func__);
}

int cuKernelGetFunction(void **function, void *kernel)
{
    *function = kernel;
    atomic_fetch_add(&fake_functions, 1);
    return result(__func__);
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared, void *stream, void **parameters, void **extra)
{
    if (extra)
        return NOT_FOUND;
    launch *const l = &fake_launches[atomic_fetch_add(&fake_launched, 1) % LAUNCHES];
    l->function = (uintptr_t)function;
    l->stream = (uintptr_t)stream;
    memcpy(l->grid, (unsigned[]){grid_x, grid_y, grid_z}, sizeof l->grid);
    memcpy(l->block, (unsigned[]){block_x, block_y, block_z}, sizeof l->block);
    l->shared = shared;
    memcpy(l->argument, parameters[0], fake_argument_bytes);
    return result(__func__);
}

int cuCtxGetCurrent(void **context)
{
    *context = current;
    return result(__func__);
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
    *context = (void *)(uintptr_t)(0x100 + device);
    return result(__func__);
}

int cuCtxSetCurrent(void *context)
{
    current = context;
    return result(__func__);
}

int cuGetErrorName(int error, const char **name)
{
    *name = error == NOT_FOUND ? "CUDA_ERROR_NOT_FOUND" : "CUDA_ERROR_OF_A_TEST";
    return SUCCESS;
}

/* The driver has no text for errors that it does not know. */
int cuGetErrorString(int error, const char **text)
{
    *text = error == NOT_FOUND ? "named symbol not found" : NULL;
    return *text ? SUCCESS : 1;
}

int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return SUCCESS;
}

int cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags,
                        int *status)
{
    (void)version, (void)flags;
    void *const self = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW);
    *address = dlsym(self, name);
    if (!*address) {
        char newer[256];
        snprintf(newer, sizeof newer, "%s_v2", name);
        *address = dlsym(self, newer);
    }
    if (status)
        *status = *address ? 0 : 1;
    return *address ? SUCCESS : NOT_FOUND;
}

int cuGetProcAddress(const char *name, void **address, int version, uint64_t flags)
{
    return cuGetProcAddress_v2(name, address, version, flags, NULL);
}
