/* lls_type.h: all of one arithmetic type; included by lls.c with T. */
#include "lls_model.h"
#include "lls_pass.h"
#include "lls_system.h"

#define INDEX int32_t
#include "lls_csr.h"
#include "lls_system_csr.h"
#undef INDEX

#define INDEX int64_t
#include "lls_csr.h"
#include "lls_system_csr.h"
#undef INDEX

#define READ(dense, csr)                                                               \
    {NAME(dense), CSR__(csr, int32_t, DTYPE, ISA), CSR__(csr, int64_t, DTYPE, ISA)}
#define SPARSE(csr)                                                                    \
    {NULL, CSR__(csr, int32_t, DTYPE, ISA), CSR__(csr, int64_t, DTYPE, ISA)}
extern const gs_lls_ops NAME(gs_lls_ops);
const gs_lls_ops NAME(gs_lls_ops) = {
    .rows = READ(dense, rows),
    .moments = READ(moments, moments),
    .system = READ(system, system),
    .extents = READ(extents, extents),
    .spreads = READ(spreads, spreads),
    .meet = NAME(meet),
    .finish = NAME(finish),
    .pack = SPARSE(pack),
    .unpack = SPARSE(unpack),
    .alone = SPARSE(alone),
    .accumulate = NAME(accumulate),
    .finite = NAME(finite),
    .squared_norm = NAME(squared_norm),
};
#undef SPARSE
#undef READ
