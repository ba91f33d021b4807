/* conjugate.h: vectors of coefficients: products in a fixed order, and directions made
 * conjugate to earlier ones. */
#ifndef GRADSTEP_CONJUGATE_H
#define GRADSTEP_CONJUGATE_H

#include <stddef.h>

double gs_dot(const double *a, const double *b, size_t n);

/* Makes `direction` conjugate to `count` others, the rows of `earlier`, whose products
 * with the matrix are the rows of `images`: each p with p' image = 1. Subtracts
 * (direction' image) p for one after the other, twice, as rounding leaves something of
 * what is large (Gram-Schmidt; Daniel, Gragg, Kaufman and Stewart, 1976). */
void gs_conjugate(double *direction, const double *earlier, const double *images,
                  size_t count, size_t n);

#endif
