/* shuffle.h: the order in which an epoch visits rows, a function of (seed, epoch) alone.
 * It is part of what a fit computes: a change is a "numerics" line in CHANGELOG.md. */
#ifndef GRADSTEP_SHUFFLE_H
#define GRADSTEP_SHUFFLE_H

#include <stdint.h>

enum {
    GS_BLOCK_BYTES = 32768, /* rows that stay together in a shuffle by blocks */
    GS_MIXED_BLOCKS = 16    /* blocks whose rows are shuffled together */
};

/* A permutation of [0, n) by rows. */
void gs_shuffle_rows(uint64_t seed, uint64_t epoch, uint64_t n, int64_t *rows);

/* Blocks of consecutive rows in random order, and the rows of each few of them shuffled
 * together. `block` is the rows of one, `order` room for a number for each block. */
void gs_shuffle_blocks(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t block,
                       int64_t *rows, int64_t *order);

#endif
