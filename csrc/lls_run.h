/* lls_run.h: rows to batches, batches to updates by an optimizer's plan. */
#ifndef GRADSTEP_LLS_RUN_H
#define GRADSTEP_LLS_RUN_H

#include "lls.h"
#include "plan.h"

typedef struct gs_lls {
    const gs_lls_ops *ops;
    gs_lls_data data;
    gs_lls_model model;
    gs_lls_touched touched;
    const gs_lls_system *system; /* while rows are added to one; else NULL */
    gs_plan *plan;               /* its first tensor is w, its second b */
    size_t batch;                /* rows of an update */
    size_t filled;               /* rows of the present batch that have been added */
    double *sums;  /* of its whole pieces, gs_lls_sums() of them, zero to begin with */
    double *piece; /* of its last piece; room for `pieces` of them, all zero */
    size_t pieces; /* at least 1 */
    int64_t updates;
    int64_t averaged;     /* how many of them are in model.total */
    int64_t counted;      /* rows of the updates since the caller cleared it */
    double squares;       /* the weighted squares of their residuals, likewise */
    double penalties;     /* and the penalty of each batch, of which it is a share */
    double filled_weight; /* the weights of the rows of the present batch */
    /* The updates of the last gs_lls_run or gs_lls_flush. */
    int64_t run_rows;
    double run_weight, run_squares;
} gs_lls;

/* Adds rows to batches, with an update after every `batch` of them; the GIL is not
 * needed. What is left of a batch waits for more. Returns whether w is finite. */
bool gs_lls_run(gs_lls *p, gs_lls_route route);

/* An update with what has been added so far, if anything has. */
bool gs_lls_flush(gs_lls *p);

/* Adds rows without any update; where no rows wait for one, and columns have no places. */
void gs_lls_evaluate(gs_lls *p, gs_lls_route route);

/* The gradient of the rows that were evaluated, to g and gb; returns their weighted
 * squares. */
double gs_lls_finish(gs_lls *p);

/* The weighted squares of rows that wait for an update. */
double gs_lls_waiting(const gs_lls *p);

/* Adds rows to the sums of a system; nothing else may have been added since they were
 * collected. */
void gs_lls_system_add(gs_lls *p, const gs_lls_system *s, gs_lls_route route);

/* Moves the sums of a system to `sums`, gs_lls_sums() of them. */
void gs_lls_collect(gs_lls *p, double *sums);

/* See gs_lls_extents_fn and gs_lls_spreads_fn. */
void gs_lls_extents(const gs_lls *p, const int64_t *rows, size_t n, const double *about,
                    double *extents);
void gs_lls_spreads(const gs_lls *p, const int64_t *rows, size_t n,
                    const double *centre, const double *unit, double *spreads);

/* See gs_lls_moments_fn. */
void gs_lls_moments(const gs_lls *p, const int64_t *rows, size_t n, const double *about,
                    double *moments);

#endif
