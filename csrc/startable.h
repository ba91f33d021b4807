/* startable.h: how many more threads this process can start. */
#ifndef GRADSTEP_STARTABLE_H
#define GRADSTEP_STARTABLE_H

/* Starts up to `count` threads that wait for each other, and ends them all. Returns how
 * many could be started; RLIMIT_NPROC, a control group's pids.max or memory set limits. */
int gs_startable(int count);

#endif
