/* conjugate.c: see conjugate.h. */
#include "conjugate.h"

#include "scalar.h"

double gs_dot(const double *restrict a, const double *restrict b, size_t n)
{
    double lane[GS_LANES] = {0}, rest = 0;
    const size_t whole = n - n % GS_LANES;
    for (size_t j = 0; j < whole; j += GS_LANES)
        for (size_t k = 0; k < GS_LANES; k++)
            lane[k] += a[j + k] * b[j + k];
    for (size_t j = whole; j < n; j++)
        rest += a[j] * b[j];
    return gs_tree(lane) + rest;
}

void gs_conjugate(double *restrict direction, const double *restrict earlier,
                  const double *restrict images, size_t count, size_t n)
{
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < count; i++) {
            const double part = gs_dot(direction, images + i * n, n);
            for (size_t j = 0; j < n; j++)
                direction[j] -= part * earlier[i * n + j];
        }
}
