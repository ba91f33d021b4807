/* kernels.c: every rule x every dtype, for one CPU level. Compiled once per level, with
 * ISA naming it and the flags of meson.build setting it. */
#include "kernel.h"
#include "line.h"
#include "scalar.h"

#define DTYPE f32
#define T float
#define P gs_any_float
#define G gs_any_float
#include "rules_all.h"
#undef G
#undef P
#undef T
#undef DTYPE

#define DTYPE f64
#define T double
#define P gs_any_double
#define G gs_any_double
#include "rules_all.h"
#undef G
#undef P
#undef T
#undef DTYPE

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define ENTRY(rule) &JOIN(rule, kernel_f32, ISA), &JOIN(rule, kernel_f64, ISA),
static const gs_kernel *const kernels[] = {
#include "rules.def"
    NULL,
};

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
extern const gs_lls_ops JOIN(gs_lls_ops, f32, ISA), JOIN(gs_lls_ops, f64, ISA);
extern const gs_codec JOIN(gs_codec, all, ISA)[];

const gs_table JOIN(gs, table, ISA) = {
    .isa = TEXT(ISA),
    .kernel = kernels,
    .lls_f32 = &JOIN(gs_lls_ops, f32, ISA),
    .lls_f64 = &JOIN(gs_lls_ops, f64, ISA),
    .codec = JOIN(gs_codec, all, ISA),
};
