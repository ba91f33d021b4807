/* lls_run.c: batches are cut into pieces, pieces go to threads. */
#include "lls_run.h"

#include <string.h>

#include "fpenv.h"
#include "run.h"

enum {
    PARALLEL_FROM = 3 << 12 /* numbers in a piece; below, waking a thread costs more */
};

static void fold(gs_lls *p, double *piece)
{
    const size_t size = gs_lls_sums(&p->model);
    for (size_t j = 0; j < size; j++) {
        p->sums[j] += piece[j];
        piece[j] = 0;
    }
}

/* What the first rows of a route give, for a batch or for a system. */
static void add_rows(gs_lls *p, gs_lls_route route, size_t n, double *piece)
{
    if (p->system)
        p->ops->system[p->data.form](&p->data, p->system, route, n, piece);
    else
        p->ops->rows[p->data.form](&p->data, &p->model, &p->touched, route, n, piece);
}

/* Several whole pieces, each with sums of its own. */
typedef struct wave {
    gs_lls *p;
    gs_lls_route route;
} wave;

static void add_piece(void *with, size_t k)
{
    const wave *now = with;
    gs_lls *p = now->p;
    add_rows(p, gs_lls_after(now->route, k * GS_PIECE), GS_PIECE,
             p->piece + k * gs_lls_sums(&p->model));
}

static size_t add_wave(gs_lls *p, gs_lls_route route, size_t n)
{
    size_t pieces = n / GS_PIECE < p->pieces ? n / GS_PIECE : p->pieces;
    gs_run_each(add_piece, &(wave){p, route}, pieces);
    for (size_t k = 0; k < pieces; k++)
        fold(p, p->piece + k * gs_lls_sums(&p->model));
    return pieces * GS_PIECE;
}

/* Whether pieces are worth a thread each. */
static bool in_waves(const gs_lls *p, size_t n)
{
    return n >= 2 * GS_PIECE && p->pieces > 1 &&
           GS_PIECE * p->model.L * p->model.K >= PARALLEL_FROM && gs_threads() > 1;
}

static double weight_of(const gs_lls_data *d, const int64_t *rows, size_t n)
{
    double sum = 0;
    if (!d->weight)
        return (double)n;
    for (size_t i = 0; i < n; i++)
        sum += d->weight[rows[i]];
    return sum;
}

/* Rows of one batch. A batch of one piece is never folded: its sums are the piece's.
 * Sparse rows are of one piece, as to fold costs as much as many rows. */
static void add(gs_lls *p, gs_lls_route route, size_t n)
{
    p->filled_weight += weight_of(&p->data, route.rows, n);
    if (p->data.form != GS_DENSE) {
        add_rows(p, route, n, p->piece);
        p->filled += n;
        return;
    }
    while (n) {
        const size_t within = p->filled % GS_PIECE;
        size_t added = GS_PIECE - within < n ? GS_PIECE - within : n;
        if (within == 0 && p->filled)
            fold(p, p->piece);
        if (within == 0 && in_waves(p, n))
            added = add_wave(p, route, n);
        else
            add_rows(p, route, added, p->piece);
        p->filled += added;
        n -= added;
        route = gs_lls_after(route, added);
    }
}

_Static_assert(sizeof((gs_lls_touched *)0)->packed >=
                   (2 + GS_MAX_STATE) * sizeof(void *),
               "step_packed has room for w, g and every state");

/* A step by the rule's own loop over some columns, packed. */
static void step_packed(gs_lls *p, gs_lls_columns c)
{
    gs_segment *s = &p->plan->tensor[0].segment;
    const gs_segment whole = *s;
    void *const *packed = p->touched.packed;
    size_t states = 0;
    s->p = packed[0];
    s->g = packed[1];
    s->n = p->model.K * c.count;
    for (; s->kernel->state[states]; states++) {
        s->state[states] = packed[2 + states];
        p->ops->pack[c.form](&p->model, c, whole.state[states], packed[2 + states]);
    }
    gs_plan_step(p->plan, NULL);
    *s = whole;
    p->ops->unpack[c.form](&p->model, c, packed[0], whole.p);
    for (size_t k = 0; k < states; k++)
        p->ops->unpack[c.form](&p->model, c, packed[2 + k], whole.state[k]);
}

static void step_touched(gs_lls *p)
{
    gs_lls_touched *t = &p->touched;
    const gs_lls_columns c = {GS_CSR64, t->column, t->count};
    p->ops->pack[c.form](&p->model, c, p->model.w, t->packed[0]);
    step_packed(p, c);
    for (size_t i = 0; i < t->count; i++)
        t->place[t->column[i]] = 0;
    t->count = 0;
}

static void meet(gs_lls *p)
{
    const bool dense = p->data.form == GS_DENSE;
    if (p->model.b || p->model.inverse || (dense && p->model.wide != p->model.u))
        p->ops->meet(&p->model, dense);
}

static double squares_of(const gs_lls_model *m, const double *sums)
{
    double all = 0;
    for (size_t k = 0; k < m->K; k++)
        all += sums[m->K * (m->L + 1) + k];
    return all;
}

static void all_move(gs_lls *p)
{
    for (size_t i = 0; i < p->plan->tensors; i++)
        p->plan->tensor[i].moving = true;
}

static void count(gs_lls *p, size_t rows, double weight, double squares)
{
    p->counted += (int64_t)rows;
    p->squares += squares;
    p->run_rows += (int64_t)rows;
    p->run_weight += weight;
    p->run_squares += squares;
}

static void update(gs_lls *p)
{
    double *sums = p->piece;
    if (p->filled > GS_PIECE && p->data.form == GS_DENSE) {
        fold(p, p->piece);
        sums = p->sums;
    }
    const double squares = squares_of(&p->model, sums), rows = (double)p->filled;
    if (p->model.ridge != 0)
        p->penalties += rows * p->model.ridge * p->ops->squared_norm(&p->model);
    count(p, p->filled, p->filled_weight, squares);
    p->ops->finish(&p->model, &p->touched, p->filled, sums);
    all_move(p);
    if (p->touched.place)
        step_touched(p);
    else
        gs_plan_step(p->plan, NULL);
    p->updates++;
    p->filled = 0;
    p->filled_weight = 0;
    if (p->model.total) {
        p->ops->accumulate(&p->model);
        p->averaged++;
    }
    meet(p);
}

/* An update by each row, without sums of its columns. */
static void run_alone(gs_lls *p, gs_lls_route route)
{
    gs_lls_columns c;
    for (size_t i = 0; i < route.count; i++) {
        double squares = 0;
        p->ops->alone[p->data.form](&p->data, &p->model, &p->touched,
                                    gs_lls_after(route, i), &c, &squares);
        count(p, 1, weight_of(&p->data, route.rows + i, 1), squares);
        all_move(p);
        step_packed(p, c);
        meet(p);
    }
    p->updates += (int64_t)route.count;
}

static void begin_run(gs_lls *p)
{
    p->run_rows = 0;
    p->run_weight = p->run_squares = 0;
}

bool gs_lls_run(gs_lls *p, gs_lls_route route)
{
    const gs_fpenv before = gs_fpenv_enter();
    begin_run(p);
    meet(p);
    if (p->batch == 1 && p->touched.place) {
        run_alone(p, route);
        route.count = 0;
    }
    while (route.count) {
        const size_t room = p->batch - p->filled;
        const size_t n = room < route.count ? room : route.count;
        add(p, route, n);
        route = gs_lls_after(route, n);
        if (p->filled == p->batch)
            update(p);
    }
    const bool finite = p->ops->finite(&p->model);
    gs_fpenv_leave(before);
    return finite;
}

bool gs_lls_flush(gs_lls *p)
{
    const gs_fpenv before = gs_fpenv_enter();
    begin_run(p);
    if (p->filled)
        update(p);
    const bool finite = p->ops->finite(&p->model);
    gs_fpenv_leave(before);
    return finite;
}

void gs_lls_evaluate(gs_lls *p, gs_lls_route route)
{
    const gs_fpenv before = gs_fpenv_enter();
    meet(p);
    add(p, route, route.count);
    gs_fpenv_leave(before);
}

double gs_lls_finish(gs_lls *p)
{
    const gs_fpenv before = gs_fpenv_enter();
    fold(p, p->piece);
    const double squares = squares_of(&p->model, p->sums);
    p->ops->finish(&p->model, &p->touched, p->filled ? p->filled : 1, p->sums);
    p->filled = 0;
    p->filled_weight = 0;
    gs_fpenv_leave(before);
    return squares;
}

void gs_lls_system_add(gs_lls *p, const gs_lls_system *s, gs_lls_route route)
{
    const gs_fpenv before = gs_fpenv_enter();
    p->system = s;
    add(p, route, route.count);
    p->system = NULL;
    gs_fpenv_leave(before);
}

void gs_lls_collect(gs_lls *p, double *sums)
{
    const gs_fpenv before = gs_fpenv_enter();
    fold(p, p->piece);
    gs_fpenv_leave(before);
    const size_t bytes = gs_lls_sums(&p->model) * sizeof(double);
    memcpy(sums, p->sums, bytes);
    memset(p->sums, 0, bytes);
    p->filled = 0;
}

void gs_lls_extents(const gs_lls *p, const int64_t *rows, size_t n, const double *about,
                    double *extents)
{
    const gs_fpenv before = gs_fpenv_enter();
    p->ops->extents[p->data.form](&p->data, p->model.L, rows, n, about, extents);
    gs_fpenv_leave(before);
}

void gs_lls_spreads(const gs_lls *p, const int64_t *rows, size_t n,
                    const double *centre, const double *unit, double *spreads)
{
    const gs_fpenv before = gs_fpenv_enter();
    p->ops->spreads[p->data.form](&p->data, p->model.L, rows, n, centre, unit, spreads);
    gs_fpenv_leave(before);
}

void gs_lls_moments(const gs_lls *p, const int64_t *rows, size_t n, const double *about,
                    double *moments)
{
    const gs_fpenv before = gs_fpenv_enter();
    p->ops->moments[p->data.form](&p->data, p->model.L, rows, n, about, moments);
    gs_fpenv_leave(before);
}

double gs_lls_waiting(const gs_lls *p)
{
    if (!p->filled)
        return 0;
    return squares_of(&p->model, p->sums) + squares_of(&p->model, p->piece);
}
