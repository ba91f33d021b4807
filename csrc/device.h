/* device.h: what the host tells the kernels of a device, and what lies in the device's
 * memory from one of them to the next. Addresses are those of the device. */
#ifndef GRADSTEP_DEVICE_H
#define GRADSTEP_DEVICE_H

#include <stdint.h>

#include "bounds.h"

enum {
    /* Bytes that a launch passes by value, which every device takes. */
    GS_ARGUMENT = 4000,
    GS_MANY = 320, /* tensors of a launch that reads no arrays */
    GS_WARP = 32,
    /* Threads of a block: of a step; of sums, each of which is a lane; where one is a
     * tensor. */
    GS_STEP_THREADS = 256,
    GS_SUM_THREADS = 512,
    GS_ONE_EACH = 128,
    /* Blocks of elements, and elements, of such a block of threads. */
    GS_SUM_BLOCKS = GS_SUM_THREADS / GS_LANES,
    GS_SUMMED = GS_SUM_BLOCKS * GS_BLOCK,
};

/* Of each tensor, in the device's memory: what a step needs to know. */
typedef struct gs_record {
    unsigned char coef[GS_MAX_COEF]; /* first: it is read as a struct of double */
    double sum[GS_MAX_SUMS];
    double unit[GS_MAX_SUMS];      /* in which the squares of a sum were taken */
    double norm[GS_MAX_SUMS];      /* the roots of those, as prepare() reads them */
    double grad_scale, grad_power; /* as in gs_segment */
    uint64_t key[1 + GS_MAX_STATE];
    uint32_t first; /* whether it is the first: some states begin as the parameter */
    uint32_t stays; /* whether none is taken */
} gs_record;

/* Of an optimizer, there too. */
typedef struct gs_measured {
    double grad_norm, clip_factor, nonfinite;
    double norm[2];          /* gs_norm of measure.h, */
    double clip[2];          /* and gs_factor */
    double sum[GS_MAX_SUMS]; /* over tensors; in passes over gradients, gs_squares */
    double most;             /* the largest scale of a gradient */
    uint32_t pass;           /* that finds out more, if there is one; see GS_SQUARES */
    uint32_t skipped;
} gs_measured;

/* Passes over gradients: each but the first is wanted only where the one before did not
 * find enough. */
enum { GS_SQUARES, GS_NONFINITE, GS_FAR, GS_NEAR, GS_FOUND };

/* Whether a rule's sums of squares are taken once more: where they have left the range of
 * double, or for all tensors. */
enum { GS_NOT_AGAIN, GS_WHERE_NEEDED, GS_ALL_AGAIN };

/* Before the arrays of tensors in the table of a step or a gathering, of which a block
 * finds its tensor: the last whose `start` is not above the block's number. In one piece
 * of GS_ARGUMENT bytes: uint64_t slot[slots][most], n[most]; uint32_t start[most],
 * number[most]. */
typedef struct gs_head {
    uint64_t record;   /* gs_record of each tensor of the optimizer */
    uint64_t measured; /* gs_measured, in passes over gradients; else 0 */
    uint32_t tensors;
    uint32_t chunk; /* elements of a block */
    uint32_t pass;
    uint32_t again;
} gs_head;

/* How many tensors a table has room for. */
#define GS_MOST(slots) ((GS_ARGUMENT - sizeof(gs_head)) / (8 * (slots) + 16))

/* From hyperparameters and counts to records. */
typedef struct gs_prepare_table {
    double hyper[GS_MAX_HYPER];
    double grad_scale, clip_norm, clip_eps;
    uint64_t record, measured;
    uint64_t count;  /* double of each tensor: steps taken */
    uint64_t step;   /* float of each, the same for users, who may change it; or 0 */
    uint64_t scalar; /* double of each, `scalars` apart */
    uint64_t lr;     /* float or double, in the place of hyper[lr_at]; or 0 */
    uint64_t amp_scale, found_inf; /* float: torch.amp's; or 0 */
    uint64_t seed;
    uint32_t tensors, scalars, lr_at, lr_is_double;
    uint32_t again;  /* only with sums, after a gathering */
    uint32_t across; /* sums are those over all tensors */
    uint32_t clips;  /* gradients were measured */
    uint32_t unused;
    uint32_t number[GS_MANY];
    uint32_t place[GS_MANY]; /* among all parameters, for random numbers */
} gs_prepare_table;

/* Scales of gradients, before they are measured. */
typedef struct gs_scale_table {
    uint64_t record, measured, amp_scale;
    uint32_t tensors, begins; /* with the first tensor */
    double scale[GS_MANY];
    uint32_t number[GS_MANY];
} gs_scale_table;

/* From sums of blocks to those of tensors. */
typedef struct gs_reduce_table {
    uint64_t record, measured;
    uint32_t tensors, sums, pass, again;
    uint64_t partial[GS_MANY / 2];
    uint64_t n[GS_MANY / 2];
    uint32_t number[GS_MANY / 2];
} gs_reduce_table;

/* From sums of tensors to those over all, and to what is made of these. */
typedef struct gs_total_table {
    uint64_t record, measured;
    double clip_norm, clip_eps;
    uint32_t tensors, sums, pass, begins, ends, guard;
    uint32_t wide, unused; /* some gradients are of double */
    uint32_t number[GS_MANY];
} gs_total_table;

#endif
