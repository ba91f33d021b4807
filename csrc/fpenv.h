/* fpenv.h: IEEE arithmetic while a kernel runs, whatever the caller has set. A library
 * linked with -ffast-math, or torch.set_flush_denormal, leaves threads that flush
 * subnormals to zero, and new threads inherit it. */
#ifndef GRADSTEP_FPENV_H
#define GRADSTEP_FPENV_H

#if defined __x86_64__
#include <stdbool.h>
#include <stdint.h>
#include <xmmintrin.h>
typedef unsigned gs_fpenv;
enum {
    GS_MXCSR_IEEE = 0x1f80, /* nearest even, no FTZ, no DAZ, no traps */
    GS_MXCSR_RAISED = 0x3f, /* exceptions that were raised: they control nothing */
};
static inline bool gs_is_ieee(gs_fpenv env)
{
    return (env & ~GS_MXCSR_RAISED) == GS_MXCSR_IEEE;
}
/* Writing the register drains the pipeline, and mostly it stands right already. */
static inline gs_fpenv gs_fpenv_enter(void)
{
    const gs_fpenv before = _mm_getcsr();
    if (!gs_is_ieee(before))
        _mm_setcsr(GS_MXCSR_IEEE);
    return before;
}
static inline void gs_fpenv_leave(gs_fpenv before)
{
    if (!gs_is_ieee(before))
        _mm_setcsr(before);
}
/* Also of x87, which BLAS computes norms with: nearest even, all digits, no traps. */
static inline bool gs_fpenv_is_default(void)
{
    enum { CONTROLS = 0xf3f, DEFAULT = 0x33f };
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return gs_is_ieee(_mm_getcsr()) && (x87 & CONTROLS) == DEFAULT;
}

#elif defined __aarch64__
#include <stdbool.h>
#include <stdint.h>
typedef uint64_t gs_fpenv;
static inline gs_fpenv gs_fpenv_enter(void)
{
    gs_fpenv before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return before;
}
static inline void gs_fpenv_leave(gs_fpenv before)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
}
static inline bool gs_fpenv_is_default(void)
{
    uint64_t controls;
    __asm__ volatile("mrs %0, fpcr" : "=r"(controls));
    return controls == 0;
}

#else
#error "name the floating-point control register of this processor here"
#endif

#endif
