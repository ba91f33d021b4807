/* csr.h: whether a matrix in compressed sparse rows is what it says; the loops follow it
 * blindly. */
#ifndef GRADSTEP_CSR_H
#define GRADSTEP_CSR_H

#include <stdint.h>

enum { GS_CSR_WRONG, GS_CSR_RIGHT, GS_CSR_ASCENDING };

/* Of N rows and L columns with `stored` values. Ascending: in each row every column is
 * greater than the one before, so none stands twice. */
int gs_csr_check32(const int32_t *start, const int32_t *column, int64_t N, int64_t L,
                   int64_t stored);
int gs_csr_check64(const int64_t *start, const int64_t *column, int64_t N, int64_t L,
                   int64_t stored);

#endif
