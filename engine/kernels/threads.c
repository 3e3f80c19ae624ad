/* A pool of POSIX threads, woken per parallel region; see threads.h for the contract.
 *
 * Own pool rather than OpenMP: a forked child gets a working pool (libgomp's hangs), loader threads
 * that call kernels never multiply the number of running threads, and macOS needs no extra runtime. */
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* How long a worker spins before it sleeps: regions follow one another within tens of microseconds
 * in a training step, and waking a sleeping thread costs about as much as a small kernel. By the
 * clock, since the length of a pause differs tenfold between processors. */
#define SPIN_NANOSECONDS 200000
#define PAUSES_PER_LOOK 4

/* Tasks that one thread begins with; alone in its cache line, since others only look when done. */
typedef struct {
  _Alignas(64) atomic_ptrdiff_t next;
  ptrdiff_t first, end;
} share;

static share shares[FG_MAX_THREADS];

static struct {
  void (*task)(void *, ptrdiff_t);
  void *context;
  int n_shares, backwards;
  atomic_int open;        /* 1 while workers may join the current region */
  atomic_int n_joined;    /* workers inside the current region */
  atomic_uint region;     /* counts regions; a worker waits for it to change */
  int n_sleeping;
  int n_workers;          /* started threads, the caller not counted */
  atomic_int n_threads;   /* wanted, the caller counted */
} pool = {.n_threads = 1};

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;  /* held for the length of a region */
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_once_t fork_handler = PTHREAD_ONCE_INIT;
static _Thread_local int inside_task = 0;

static inline void pause_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/* Pause a while; whether SPIN_NANOSECONDS have passed since the wait began (*since is 0 then). */
static int spin(int64_t *since) {
  struct timespec now;
  for (int i = 0; i < PAUSES_PER_LOOK; i++) pause_cpu();
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t t = now.tv_sec * 1000000000LL + now.tv_nsec;
  if (!*since) *since = t;
  return t - *since > SPIN_NANOSECONDS;
}

/* One's own share, then what is left of the others'. */
static void run_tasks(int self) {
  inside_task = 1;
  for (int k = 0; k < pool.n_shares; k++) {
    share *s = &shares[(self + k) % pool.n_shares];
    ptrdiff_t i;
    while ((i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end)
      pool.task(pool.context, pool.backwards ? s->first + s->end - 1 - i : i);
  }
  inside_task = 0;
}

static void *worker(void *argument) {
  const int index = (int)(ptrdiff_t)argument;
  unsigned seen = atomic_load(&pool.region) - 1;
  for (;;) {
    int64_t since = 0;
    while (atomic_load_explicit(&pool.region, memory_order_acquire) == seen) {
      if (!spin(&since)) continue;
      pthread_mutex_lock(&sleep_lock);
      pool.n_sleeping++;
      while (atomic_load_explicit(&pool.region, memory_order_acquire) == seen)
        pthread_cond_wait(&wake, &sleep_lock);
      pool.n_sleeping--;
      pthread_mutex_unlock(&sleep_lock);
    }
    seen = atomic_load(&pool.region);
    /* Join first, then look whether the region is still open: the caller closes it before it waits
     * for n_joined to fall to zero, so a latecomer is either waited for or turns back. */
    atomic_fetch_add(&pool.n_joined, 1);
    if (atomic_load(&pool.open) && index < pool.n_threads - 1) run_tasks(index + 1);
    atomic_fetch_sub(&pool.n_joined, 1);
  }
  return NULL;
}

/* The child of a fork has none of the workers and must not wait for locks they held. */
static void after_fork_in_child(void) {
  pool.n_workers = 0;
  pool.n_sleeping = 0;
  atomic_store(&pool.open, 0);
  atomic_store(&pool.n_joined, 0);
  pthread_mutex_init(&owner, NULL);
  pthread_mutex_init(&sleep_lock, NULL);
  pthread_cond_init(&wake, NULL);
  inside_task = 0;
}

static void register_fork_handler(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

static void start_workers(void) {
  pthread_once(&fork_handler, register_fork_handler);
  while (pool.n_workers < pool.n_threads - 1) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 4 << 20);
    int failed = pthread_create(&thread, &attributes, worker, (void *)(ptrdiff_t)pool.n_workers);
    pthread_attr_destroy(&attributes);
    if (failed) break;  /* fewer threads, same results */
    pool.n_workers++;
  }
}

static void run(ptrdiff_t n_tasks, void (*task)(void *, ptrdiff_t), void *context, int backwards) {
  if (n_tasks > 1 && pool.n_threads > 1 && !inside_task && pthread_mutex_trylock(&owner) == 0) {
    start_workers();
    pool.task = task;
    pool.context = context;
    pool.backwards = backwards;
    pool.n_shares = (int)(n_tasks < pool.n_threads ? n_tasks : pool.n_threads);
    for (int k = 0; k < pool.n_shares; k++) {
      shares[k].first = n_tasks * k / pool.n_shares;
      shares[k].end = n_tasks * (k + 1) / pool.n_shares;
      atomic_store_explicit(&shares[k].next, shares[k].first, memory_order_relaxed);
    }
    atomic_store(&pool.open, 1);
    pthread_mutex_lock(&sleep_lock);
    atomic_fetch_add(&pool.region, 1);
    /* A signal could reach a worker that is not wanted now. */
    if (pool.n_sleeping > n_tasks - 1 && pool.n_workers < pool.n_threads)
      for (ptrdiff_t i = 1; i < n_tasks; i++) pthread_cond_signal(&wake);
    else if (pool.n_sleeping)
      pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_lock);
    run_tasks(0);
    atomic_store(&pool.open, 0);
    /* A worker that lost its processor to another program may need ours to finish. */
    int64_t since = 0;
    while (atomic_load(&pool.n_joined))
      if (spin(&since)) sched_yield();
    pthread_mutex_unlock(&owner);
    return;
  }
  int was_inside = inside_task;
  inside_task = 1;
  for (ptrdiff_t i = 0; i < n_tasks; i++) task(context, backwards ? n_tasks - 1 - i : i);
  inside_task = was_inside;
}

void fg_parallel(ptrdiff_t n_tasks, void (*task)(void *, ptrdiff_t), void *context) {
  run(n_tasks, task, context, 0);
}

void fg_parallel_backwards(ptrdiff_t n_tasks, void (*task)(void *, ptrdiff_t), void *context) {
  run(n_tasks, task, context, 1);
}

/* Workers beyond n stay asleep or turn back at once. */
void fg_set_num_threads(int n) {
  pthread_mutex_lock(&owner);
  pool.n_threads = n;
  pthread_mutex_unlock(&owner);
}

int fg_get_num_threads(void) { return pool.n_threads; }
