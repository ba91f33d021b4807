/* lls.c: the loop of lls.h for both arithmetic types, for one CPU level, as
 * kernels.c. */
#include "lls.h"

#include <assert.h>

#include "fpenv.h"
#include "line.h"
#include "scalar.h"

enum {
    NARROW = 4, /* columns up to which the sums of a batch stay in registers */
    AHEAD = 4,  /* rows that are fetched before their turn */
};

#define JOIN_(word, dtype, isa) word##_##dtype##_##isa
#define JOIN(word, dtype, isa) JOIN_(word, dtype, isa)
#define NAME(word) JOIN(word, DTYPE, ISA)

#define DTYPE f32
#define T float
#include "lls_pass.h"
#undef T
#undef DTYPE

#define DTYPE f64
#define T double
#include "lls_pass.h"
