/* One pool of threads for every kernel. */
#ifndef FG_THREADS_H
#define FG_THREADS_H

#include <stddef.h>

/* Run task(context, i) for i in 0 … n_tasks - 1 and return when all are done.
 *
 * Each thread begins with its own share, adjacent tasks, which is the same in every call with as many
 * tasks: what one kernel leaves in a core's cache the next one finds there. Whoever is done helps the
 * others. Tasks must write to disjoint memory; results stay independent of the number of threads
 * because the cut into tasks never depends on it. A call made from inside a task, or while another
 * thread of the program uses the pool, runs in the caller. */
void fg_parallel(ptrdiff_t n_tasks, void (*task)(void *context, ptrdiff_t i), void *context);

/* The same with each share run from its end: after a pass over the same memory, what that touched
 * last may still be in cache. */
void fg_parallel_backwards(ptrdiff_t n_tasks, void (*task)(void *context, ptrdiff_t i), void *context);

#define FG_MAX_THREADS 256
void fg_set_num_threads(int n); /* 1 to FG_MAX_THREADS */
int fg_get_num_threads(void);

#endif
