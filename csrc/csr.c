/* csr.c: the checks of csr.h, for both sizes of indices. */
#include "csr.h"

#include <stdbool.h>

#define CHECK(INDEX, name)                                                             \
    static bool name##_ascends(const INDEX *column, INDEX n)                           \
    {                                                                                  \
        bool all = true;                                                               \
        for (INDEX i = 1; i < n; i++)                                                  \
            all &= column[i - 1] < column[i];                                          \
        return all;                                                                    \
    }                                                                                  \
                                                                                       \
    static bool name##_within(const INDEX *column, INDEX n, int64_t L)                 \
    {                                                                                  \
        bool all = true;                                                               \
        for (INDEX i = 0; i < n; i++)                                                  \
            all &= column[i] >= 0 && column[i] < L;                                    \
        return all;                                                                    \
    }                                                                                  \
                                                                                       \
    int name(const INDEX *start, const INDEX *column, int64_t N, int64_t L,            \
             int64_t stored)                                                           \
    {                                                                                  \
        int found = GS_CSR_ASCENDING;                                                  \
        if (start[0] != 0)                                                             \
            return GS_CSR_WRONG;                                                       \
        for (int64_t row = 0; row < N; row++) {                                        \
            const INDEX from = start[row], to = start[row + 1];                        \
            if (to < from || to > stored)                                              \
                return GS_CSR_WRONG;                                                   \
            const INDEX *here = column + from, n = to - from;                          \
            const bool ascends = name##_ascends(here, n);                              \
            if (ascends && (n == 0 || (here[0] >= 0 && here[n - 1] < L)))              \
                continue;                                                              \
            if (!name##_within(here, n, L))                                            \
                return GS_CSR_WRONG;                                                   \
            found = GS_CSR_RIGHT;                                                      \
        }                                                                              \
        return found;                                                                  \
    }

CHECK(int32_t, gs_csr_check32)
CHECK(int64_t, gs_csr_check64)
