/* lls.c: the loops of lls.h for both arithmetic types, for one CPU level, as
 * kernels.c. */
#include "lls.h"

#include "line.h"
#include "scalar.h"

enum {
    NARROW = 15,  /* columns up to which the sums of a batch stay in registers */
    TOGETHER = 4, /* rows that meet the sums together, each of which is loaded once */
    IN_L1 = 8192, /* bytes of a row, of which that many stay in L1 together */
    NEAR = 8,     /* rows that are fetched into L1 before their turn */
    NEAR_NARROW = 16,
    TO_L2 = 2, /* localities of __builtin_prefetch */
    TO_L1 = 3,
};

_Static_assert(NARROW == 15, "lls_pass.h has a case for each number of columns");
_Static_assert((int)NARROW < (int)GS_LANES, "lls_pass.h adds more columns in lanes");

/* Loads a line ahead, for reading. Clang takes the locality as a literal only. */
RULE_FN void prefetch(const void *x, const int where)
{
    if (where == TO_L1)
        __builtin_prefetch(x, 0, 3);
    else
        __builtin_prefetch(x, 0, 2);
}

#define JOIN_(word, dtype, isa) word##_##dtype##_##isa
#define JOIN(word, dtype, isa) JOIN_(word, dtype, isa)
#define NAME(word) JOIN(word, DTYPE, ISA)
#define CSR_(word, index, dtype, isa) csr_##word##_##index##_##dtype##_##isa
#define CSR__(word, index, dtype, isa) CSR_(word, index, dtype, isa)
#define CSR(word) CSR__(word, INDEX, DTYPE, ISA)

#define DTYPE f32
#define T float
#include "lls_type.h"
#undef T
#undef DTYPE

#define DTYPE f64
#define T double
#include "lls_type.h"
