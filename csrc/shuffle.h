/* shuffle.h: the order in which an epoch visits rows, a function of (seed, epoch) alone.
 * It is part of what a fit computes: a change is a "numerics" line in CHANGELOG.md. */
#ifndef GRADSTEP_SHUFFLE_H
#define GRADSTEP_SHUFFLE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    GS_BLOCK_BYTES = 65536, /* rows that stay together in a shuffle by blocks */
    GS_MIXED_BLOCKS = 4     /* blocks whose rows are shuffled together */
};

/* A permutation of [0, n) by rows. */
void gs_shuffle_rows(uint64_t seed, uint64_t epoch, uint64_t n, int64_t *rows);

/* Blocks of consecutive rows in random order, and the rows of each few of them shuffled
 * together: a group. */
typedef struct gs_groups {
    uint64_t n, block, blocks; /* rows, rows of a block, blocks */
    uint64_t done;             /* blocks that have been given out */
    uint64_t state;            /* of the random numbers */
    int64_t *order;            /* of the blocks; the caller's, with room for each */
} gs_groups;

void gs_groups_begin(gs_groups *g, uint64_t seed, uint64_t epoch, uint64_t n,
                     uint64_t block, int64_t *order);

/* The rows of the next group, and how many: 0 after the last. `within`: counted from
 * the first of the group, whose blocks lie one after the other. `stored`, if not NULL:
 * the same rows as they are stored. */
uint64_t gs_groups_next(gs_groups *g, int64_t *rows, int64_t *stored, bool within);

#endif
