/* run.c: THE ONLY FILE WITH THREADS that compute.
 *
 * The elements of all segments, laid end to end, are cut into one equal share for each
 * thread, at whole blocks of a segment. Shares are fixed, not handed out as threads
 * come free: a thread finds the elements that it updated last time in its own cache.
 * The bits do not depend on any of this, since no element sees another. */
#include "run.h"

#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fpenv.h"
#include "measure.h"
#include "scaled.h"
#include "staged.h"
#include "startable.h"

enum {
    SEGMENT_COST = 64,          /* what starting a segment costs, in elements */
    SERIAL_BELOW = 16384,       /* elements; waking a thread costs more than it saves */
    ZERO_SERIAL_BELOW = 1 << 22 /* bytes, likewise */
};

static _Atomic int threads = 1;
static _Atomic bool obeys_openmp = false; /* what OpenMP allows is a limit */
static _Atomic bool orphaned = false;
static void (*_Atomic report_shortage)(int requested, int available) = NULL;

/* Threads of the calling thread's last parallel region, which wait for its next one. */
static _Thread_local int team = 1;

/* A child of a process that used libgomp, through us or anybody else, hangs for ever in
 * its next parallel region, because the pool's threads do not survive the fork. */
static void after_fork_in_child(void)
{
    threads = 1;
    orphaned = true;
}

static void guard_forks(void)
{
    if (pthread_atfork(NULL, NULL, after_fork_in_child) != 0)
        orphaned = true; /* unguarded, so never more than one thread */
}

bool gs_set_threads(int n, bool as_limit)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, guard_forks);
    if (orphaned)
        return n == 1;
    obeys_openmp = as_limit;
    threads = n;
    return true;
}

int gs_startable_threads(int n)
{
    return n <= team ? n : team + gs_startable(n - team);
}

void gs_report_shortage(void (*report)(int requested, int available))
{
    report_shortage = report;
}

int gs_openmp_threads(void)
{
    const int most = omp_get_max_threads(), limit = omp_get_thread_limit();
    return most < limit ? most : limit;
}

int gs_threads(void)
{
    const int n = threads;
    if (n == 1 || !obeys_openmp)
        return n;
    const int most = gs_openmp_threads();
    return n < most ? n : most;
}

/* Returns how many threads, n at most, a parallel region of the calling thread may have.
 * libgomp ends the process where it cannot start one. If one of those that are missing
 * cannot be started, none is: all large work then runs on the threads that exist. */
static int prepare_team(int n)
{
    if (n > team && gs_startable(n - team) < n - team) {
        void (*const report)(int, int) = report_shortage;
        if (report)
            report(n, team);
        threads = n = team;
    }
    if (n > 1) /* a region of one thread ends none of the others */
        team = n;
    return n;
}

typedef enum { STEP, GATHER } pass;

static uint64_t weight(const gs_segment *s)
{
    return s->n ? s->n + SEGMENT_COST : 0;
}

/* The first block boundary of a segment at or after `to`, both counted from where the
 * segment starts among all elements. */
static size_t boundary(uint64_t start, uint64_t to, size_t n)
{
    if (to <= start)
        return 0;
    const uint64_t blocks = (to - start + GS_BLOCK - 1) / GS_BLOCK;
    return blocks < n / GS_BLOCK + 1 ? (size_t)blocks * GS_BLOCK : n;
}

static void (*function(const gs_segment *s, pass pass))(const gs_segment *, size_t,
                                                        size_t)
{
    if (!scale_fits(s->grad_scale, s->grad_power,
                    s->kernel->state_size == sizeof(double)))
        return pass == GATHER ? gs_scaled_gather : gs_scaled_step;
    if (s->storage)
        return pass == GATHER ? gs_staged_gather : gs_staged_step;
    return pass == GATHER ? s->kernel->gather : s->kernel->step;
}

/* The blocks that begin in [from, to). */
static void run_share(const gs_segment *segment, size_t count, pass pass, uint64_t from,
                      uint64_t to)
{
    const gs_fpenv before = gs_fpenv_enter();
    uint64_t start = 0;
    for (const gs_segment *s = segment; s < segment + count && start < to; s++) {
        const size_t begin = boundary(start, from, s->n);
        const size_t end = boundary(start, to, s->n);
        if (begin < end && (pass == STEP || s->kernel->gather))
            function(s, pass)(s, begin, end);
        start += weight(s);
    }
    gs_fpenv_leave(before);
}

static void run(const gs_segment *segment, size_t count, pass pass)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += weight(segment + i);
    const int n = all < SERIAL_BELOW ? 1 : prepare_team(gs_threads());
    if (n == 1) {
        run_share(segment, count, pass, 0, all);
        return;
    }
#pragma omp parallel for num_threads(n) schedule(static, 1)
    for (int k = 0; k < n; k++)
        run_share(segment, count, pass, all * k / n, all * (k + 1) / n);
}

void gs_run(const gs_segment *segment, size_t count)
{
    run(segment, count, STEP);
}

void gs_run_gather(const gs_segment *segment, size_t count)
{
    run(segment, count, GATHER);
}

void gs_run_each(void (*task)(void *with, size_t k), void *with, size_t count)
{
    const size_t most = (size_t)gs_threads();
    const size_t n = (size_t)prepare_team((int)(count < most ? count : most));
#pragma omp parallel for num_threads(n) schedule(static, 1)
    for (size_t k = 0; k < n; k++) {
        const gs_fpenv before = gs_fpenv_enter();
        for (size_t i = count * k / n; i < count * (k + 1) / n; i++)
            task(with, i);
        gs_fpenv_leave(before);
    }
}

void gs_zero(void *at, size_t bytes)
{
    const int n = bytes < ZERO_SERIAL_BELOW ? 1 : prepare_team(gs_threads());
    if (n == 1) {
        memset(at, 0, bytes);
        return;
    }
#pragma omp parallel for num_threads(n) schedule(static, 1)
    for (int k = 0; k < n; k++) {
        const size_t from = bytes / n * k, to = k + 1 < n ? bytes / n * (k + 1) : bytes;
        memset((char *)at + from, 0, to - from);
    }
}
