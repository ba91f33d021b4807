/* ide.h: lets clangd and `cc -fsyntax-only rules/adam.h` read a rule on its own, as its
 * float32 instance. No build includes this file. */
#include "kernel.h"
#include "line.h"
#include "scalar.h"
#define DTYPE f32
#define T float
#define P gs_any_float
#define G gs_any_float
#define ISA ide
#define VARIANT
