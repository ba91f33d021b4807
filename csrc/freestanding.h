/* freestanding.h: what rules need of C's headers, for NVRTC, which has none: it finds this
 * in the place of math.h, float.h, stddef.h, stdint.h and stdbool.h. */
#ifndef GRADSTEP_FREESTANDING_H
#define GRADSTEP_FREESTANDING_H

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;

#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define FLT_MIN 0x1p-126f
#define FLT_MAX 0x1.fffffep+127f
#define DBL_MIN 0x1p-1022
#define NAN __longlong_as_double(0x7ff8000000000000)
#define HUGE_VAL __longlong_as_double(0x7ff0000000000000)

#endif
