/* shuffle.c: Durstenfeld's shuffle by numbers that depend on a key and a count alone. */
#include "shuffle.h"

#include <string.h>

#include "mix.h"

/* The state of splitmix64 (Steele, Lea & Flood 2014), whose numbers are gs_mix(state). */
typedef struct numbers {
    uint64_t state;
} numbers;

static uint64_t next(numbers *r)
{
    r->state += GS_GOLDEN;
    return gs_mix(r->state);
}

/* A number below n; some come more often than others by 1 in 2^64 / n. */
static uint64_t below(numbers *r, uint64_t n)
{
    return (uint64_t)((unsigned __int128)next(r) * n >> 64);
}

static numbers keyed(uint64_t seed, uint64_t epoch)
{
    return (numbers){gs_mix(gs_mix(seed) + epoch)};
}

static void swap(int64_t *rows, uint64_t i, uint64_t j)
{
    const int64_t row = rows[i];
    rows[i] = rows[j];
    rows[j] = row;
}

static void shuffle(numbers *r, int64_t *rows, uint64_t n)
{
    for (uint64_t i = n; i > 1; i--)
        swap(rows, i - 1, below(r, i));
}

/* The same of fewer than 2^32 rows, two to a number: some orders come more often than
 * others by 1 in 2^32 / n. */
static void shuffle_group(numbers *r, int64_t *rows, uint64_t n)
{
    while (n > 1) {
        const uint64_t both = next(r), half[2] = {both >> 32, both & UINT32_MAX};
        for (int k = 0; k < 2 && n > 1; k++, n--)
            swap(rows, n - 1, half[k] * n >> 32);
    }
}

void gs_shuffle_rows(uint64_t seed, uint64_t epoch, uint64_t n, int64_t *rows)
{
    numbers r = keyed(seed, epoch);
    for (uint64_t i = 0; i < n; i++)
        rows[i] = (int64_t)i;
    shuffle(&r, rows, n);
}

void gs_groups_begin(gs_groups *g, uint64_t seed, uint64_t epoch, uint64_t n,
                     uint64_t block, int64_t *order)
{
    numbers r = keyed(seed, epoch);
    const uint64_t blocks = n / block + (n % block != 0);
    for (uint64_t b = 0; b < blocks; b++)
        order[b] = (int64_t)b;
    shuffle(&r, order, blocks);
    *g = (gs_groups){.n = n, .block = block, .blocks = blocks, .state = r.state};
    g->order = order;
}

uint64_t gs_groups_next(gs_groups *g, int64_t *rows, int64_t *stored, bool within)
{
    uint64_t count = 0;
    for (int k = 0; k < GS_MIXED_BLOCKS && g->done < g->blocks; k++, g->done++) {
        const uint64_t from = (uint64_t)g->order[g->done] * g->block;
        const uint64_t size = g->n - from < g->block ? g->n - from : g->block;
        const uint64_t first = within ? count : from;
        for (uint64_t i = 0; i < size; i++)
            rows[count++] = (int64_t)(first + i);
    }
    if (stored)
        memcpy(stored, rows, count * sizeof *rows);
    numbers r = {g->state};
    shuffle_group(&r, rows, count);
    g->state = r.state;
    return count;
}
