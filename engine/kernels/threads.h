/* One pool of threads for every kernel. */
#ifndef FG_THREADS_H
#define FG_THREADS_H

#include <stddef.h>

/* Run task(context, i) for i in 0 … n_tasks - 1 and return when all are done.
 *
 * Tasks must write to disjoint memory. Which thread runs which task is not fixed; results stay
 * independent of the number of threads because the cut into tasks never depends on it. A call made
 * from inside a task, or while another thread of the program uses the pool, runs in the caller. */
void fg_parallel(ptrdiff_t n_tasks, void (*task)(void *context, ptrdiff_t i), void *context);

#define FG_MAX_THREADS 256
void fg_set_num_threads(int n); /* 1 to FG_MAX_THREADS */
int fg_get_num_threads(void);

#endif
