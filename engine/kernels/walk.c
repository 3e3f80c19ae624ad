/* The strided walk of elementwise ops: merge axes, cut into tasks, run the inner loop. */
#include "walk.h"

#include "threads.h"

/* Elements per task: large enough to pay for waking a thread, small enough to stay in L2. */
#define TASK_ELEMENTS 16384
#define SERIAL_ELEMENTS 49152

typedef struct {
  fg_loop loop;
  int ndim;
  ptrdiff_t shape[FG_MAX_NDIM], stride[3][FG_MAX_NDIM];
  const char *a, *b;
  char *out;
  const double *attributes;
  ptrdiff_t n_inner, n_outer, per_task;  /* per_task counts inner elements or outer rows */
} walk;

static void run_rows(const walk *w, ptrdiff_t first, ptrdiff_t last) {
  ptrdiff_t index[FG_MAX_NDIM];
  const int inner = w->ndim - 1;
  ptrdiff_t offset[3] = {0, 0, 0}, rest = first;
  for (int d = inner - 1; d >= 0; d--) {
    index[d] = rest % w->shape[d];
    rest /= w->shape[d];
    for (int k = 0; k < 3; k++) offset[k] += index[d] * w->stride[k][d];
  }
  for (ptrdiff_t row = first; row < last; row++) {
    w->loop(w->a + offset[0], w->b + offset[1], w->out + offset[2], w->n_inner, w->stride[0][inner],
            w->stride[1][inner], w->stride[2][inner], w->attributes);
    for (int d = inner - 1; d >= 0; d--) {
      for (int k = 0; k < 3; k++) offset[k] += w->stride[k][d];
      if (++index[d] < w->shape[d]) break;
      for (int k = 0; k < 3; k++) offset[k] -= index[d] * w->stride[k][d];
      index[d] = 0;
    }
  }
}

static void row_task(void *context, ptrdiff_t i) {
  const walk *w = context;
  ptrdiff_t first = i * w->per_task, last = first + w->per_task;
  run_rows(w, first, last < w->n_outer ? last : w->n_outer);
}

static void flat_task(void *context, ptrdiff_t i) {
  const walk *w = context;
  ptrdiff_t first = i * w->per_task, n = w->n_inner - first;
  if (n > w->per_task) n = w->per_task;
  w->loop(w->a + first * w->stride[0][0], w->b + first * w->stride[1][0],
          w->out + first * w->stride[2][0], n, w->stride[0][0], w->stride[1][0], w->stride[2][0],
          w->attributes);
}

void fg_walk(fg_loop loop, int ndim, const ptrdiff_t *shape, const char *a, const ptrdiff_t *stride_a,
             const char *b, const ptrdiff_t *stride_b, char *out, const ptrdiff_t *stride_out,
             const double *attributes) {
  walk w = {.loop = loop, .a = a, .b = b ? b : a, .out = out, .attributes = attributes};
  ptrdiff_t size = 1;
  for (int d = 0; d < ndim; d++) {
    size *= shape[d];
    if (shape[d] == 1) continue;
    ptrdiff_t stride[3] = {stride_a[d], b ? stride_b[d] : 0, stride_out[d]};
    int last = w.ndim - 1, merge = last >= 0;
    for (int k = 0; merge && k < 3; k++) merge = w.stride[k][last] == stride[k] * shape[d];
    if (merge) {
      w.shape[last] *= shape[d];
    } else {
      last = w.ndim++;
      w.shape[last] = shape[d];
    }
    for (int k = 0; k < 3; k++) w.stride[k][last] = stride[k];
  }
  if (size == 0) return;
  if (w.ndim == 0) {
    w.ndim = 1;
    w.shape[0] = 1;
    for (int k = 0; k < 3; k++) w.stride[k][0] = 0;
  }
  w.n_inner = w.shape[w.ndim - 1];
  w.n_outer = size / w.n_inner;
  if (w.ndim == 1) {
    w.per_task = size <= SERIAL_ELEMENTS ? size : TASK_ELEMENTS;
    fg_parallel((w.n_inner + w.per_task - 1) / w.per_task, flat_task, &w);
  } else {
    w.per_task = size <= SERIAL_ELEMENTS ? w.n_outer : TASK_ELEMENTS / w.n_inner + 1;
    fg_parallel((w.n_outer + w.per_task - 1) / w.per_task, row_task, &w);
  }
}
