/* startable.c: threads are started to see whether they can be. No file says it: limits
 * count all processes of a user, or of groups of which some are out of sight. */
#define _GNU_SOURCE /* syscall */
#include "startable.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LONGEST_WAIT = 1000, /* times PAUSE */
    PAUSE = 10000        /* ns */
};

typedef struct {
    pthread_t thread;
    pthread_mutex_t *gate; /* locked until all threads are started */
    long id;               /* the kernel's */
} probe;

static void *pass_gate(void *at)
{
    probe *const p = at;
    p->id = syscall(SYS_gettid);
    pthread_mutex_lock(p->gate);
    pthread_mutex_unlock(p->gate);
    return NULL;
}

/* A thread that was joined counts against limits until the kernel has removed it. */
static void wait_until_removed(long id)
{
    const long process = getpid();
    for (int k = 0; k < LONGEST_WAIT && syscall(SYS_tgkill, process, id, 0) == 0; k++)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE}, NULL);
}

int gs_startable(int count)
{
    probe *const probes = calloc((size_t)count, sizeof *probes);
    if (!probes)
        return 0;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    int n = 0;
    for (; n < count; n++) {
        probes[n].gate = &gate;
        if (pthread_create(&probes[n].thread, NULL, pass_gate, probes + n) != 0)
            break;
    }
    pthread_mutex_unlock(&gate);
    for (int k = 0; k < n; k++)
        pthread_join(probes[k].thread, NULL);
    for (int k = 0; k < n; k++)
        wait_until_removed(probes[k].id);
    free(probes);
    return n;
}
