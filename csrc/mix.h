/* mix.h: the output function of splitmix64 (Steele, Lea & Flood 2014): numbers that go
 * apart where one bit of theirs differs. */
#ifndef GRADSTEP_MIX_H
#define GRADSTEP_MIX_H

#include <stdint.h>

#include "bounds.h"

#define GS_GOLDEN 0x9e3779b97f4a7c15u /* splitmix64's step: 2^64 by the golden ratio */

static inline uint64_t gs_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The key of the random numbers of step t: another for each tensor, `number`, and for each
 * of its arrays: 0 the parameter, 1 + k state k. */
static inline uint64_t gs_key(uint64_t seed, uint64_t t, uint64_t number,
                              uint64_t array)
{
    const uint64_t step = gs_mix(gs_mix(seed + GS_GOLDEN) + t);
    return gs_mix(step + number * (GS_MAX_STATE + 1) + array);
}

#endif
