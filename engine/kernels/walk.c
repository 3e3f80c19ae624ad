/* The strided walk of elementwise ops: merge axes, cut into tasks, run the inner loop.
 *
 * Inner loops know dense memory and, of two or three inputs, numbers of which one serves all elements.
 * Any other strided or repeated input is gathered, block by block, into a buffer that stays in the
 * first cache; several short rows make one block. Such an input is gathered once for as long as it
 * stays the same. */
#include "walk.h"

#include <string.h>

#include "isa.h"
#include "threads.h"

/* Elements per task: enough to pay for waking a thread, and long runs of memory where there are more
 * elements than TASKS_PER_THREAD such tasks. */
#define TASK_ELEMENTS 16384
#define TASKS_PER_THREAD 8
#define SERIAL_ELEMENTS 49152
#define BLOCK 1024

/* What a buffer holds: rows × n elements that begin at from. */
typedef struct {
  const char *from;
  ptrdiff_t rows, n;
} held;

#define GATHER(T) { \
  T *to = buffer; \
  for (ptrdiff_t r = 0; r < rows; r++, from += row_stride, to += n) { \
    if (stride == sizeof(T)) memcpy(to, from, (size_t)n * sizeof(T)); \
    else if (stride == 0) for (ptrdiff_t i = 0; i < n; i++) to[i] = *(const T *)from; \
    else for (ptrdiff_t i = 0; i < n; i++) to[i] = *(const T *)(from + i * stride); \
  } }

static void gather(void *buffer, const char *from, ptrdiff_t size, ptrdiff_t rows, ptrdiff_t n,
                   ptrdiff_t row_stride, ptrdiff_t stride) {
  if (size == 4) GATHER(float)
  else if (size == 8) GATHER(double)
  else GATHER(char)
}

/* Elements first … last - 1 of the output, counted as they lie in memory. There are two axes or
 * more; the last has n elements. */
static void run_range(const fg_walk *w, ptrdiff_t first, ptrdiff_t last) {
  const int inner = w->ndim - 1, second = w->ndim - 2;
  const ptrdiff_t n_inner = w->shape[inner];
  double buffers[FG_MAX_INPUTS][BLOCK];
  held holds[FG_MAX_INPUTS] = {{NULL, 0, 0}};
  char *row[FG_MAX_INPUTS], *data[FG_MAX_INPUTS + 1];
  ptrdiff_t index[FG_MAX_NDIM + 1], column = first % n_inner, rest = first / n_inner;
  const int repeatable = w->n_in == 2 ? 1 | 2 : w->n_in == 3 ? 2 | 4 : 0;
  int strided = 0;
  for (int k = 0; k < w->n_in; k++) {
    const ptrdiff_t stride = w->stride[k][inner];
    row[k] = w->data[k];
    strided |= stride != w->size[k] && !(stride == 0 && repeatable >> k & 1);
  }
  for (int d = second; d >= 0; d--) {
    index[d] = rest % w->shape[d];
    rest /= w->shape[d];
    for (int k = 0; k < w->n_in; k++) row[k] += index[d] * w->stride[k][d];
  }
  while (first < last) {
    ptrdiff_t rows = 1, n = FG_MIN(n_inner - column, last - first);
    if (n == n_inner && n <= BLOCK / 2)
      rows = FG_MIN(FG_MIN(w->shape[second] - index[second], (last - first) / n), BLOCK / n);
    else if (strided)
      n = FG_MIN(n, BLOCK);
    int repeated = 0;
    for (int k = 0; k < w->n_in; k++) {
      const ptrdiff_t stride = w->stride[k][inner], row_stride = w->stride[k][second];
      char *from = row[k] + column * stride;
      if (stride == w->size[k] && (rows == 1 || row_stride == n * stride)) {
        data[k] = from;
        continue;
      }
      if (stride == 0 && repeatable >> k & 1 && (rows == 1 || row_stride == 0)) {
        data[k] = from;
        repeated |= 1 << k;
        continue;
      }
      held *h = &holds[k];
      data[k] = (char *)buffers[k];
      if (h->from == from && h->rows >= rows && (h->n == n || (stride == 0 && rows == 1 && h->n > n)))
        continue;
      gather(buffers[k], from, w->size[k], rows, n, row_stride, stride);
      *h = (held){from, rows, n};
    }
    data[w->n_in] = w->data[w->n_in] + first * w->size[w->n_in];
    w->loop(data, rows * n, repeated, w->attributes);
    first += rows * n;
    column += n;
    if (column < n_inner) continue;
    column = 0;
    for (int k = 0; k < w->n_in; k++) row[k] += rows * w->stride[k][second];
    index[second] += rows;
    for (int d = second; d > 0 && index[d] == w->shape[d]; d--) {
      for (int k = 0; k < w->n_in; k++)
        row[k] += w->stride[k][d - 1] - w->shape[d] * w->stride[k][d];
      index[d] = 0;
      index[d - 1]++;
    }
  }
}

typedef struct {
  const fg_walk *walk;
  ptrdiff_t size, per_task;
} work;

static void run_task(void *context, ptrdiff_t i) {
  const work *w = context;
  run_range(w->walk, i * w->per_task, FG_MIN((i + 1) * w->per_task, w->size));
}

/* Merge axes that lie in memory as one, in every input; leave at least two. */
static void merge_axes(fg_walk *w) {
  int ndim = 0;
  for (int d = 0; d < w->ndim; d++) {
    if (w->shape[d] == 1) continue;
    int merge = ndim > 0;
    for (int k = 0; merge && k < w->n_in; k++)
      merge = w->stride[k][ndim - 1] == w->stride[k][d] * w->shape[d];
    if (merge)
      w->shape[ndim - 1] *= w->shape[d];
    else
      w->shape[ndim++] = w->shape[d];
    for (int k = 0; k < w->n_in; k++) w->stride[k][ndim - 1] = w->stride[k][d];
  }
  for (; ndim < 2; ndim++) {  /* axes of length 1 in front */
    w->shape[ndim] = ndim ? w->shape[0] : 1;
    for (int k = 0; k < w->n_in; k++) w->stride[k][ndim] = ndim ? w->stride[k][0] : 0;
    w->shape[0] = 1;
  }
  w->ndim = ndim;
}

void fg_run_walk(fg_walk *w) {
  work context = {.walk = w, .size = 1};
  for (int d = 0; d < w->ndim; d++) context.size *= w->shape[d];
  if (context.size == 0) return;
  merge_axes(w);
  ptrdiff_t n_inner = w->shape[w->ndim - 1];
  context.per_task = FG_MAX(TASK_ELEMENTS, context.size / (TASKS_PER_THREAD * fg_get_num_threads()));
  if (context.size <= SERIAL_ELEMENTS)
    context.per_task = context.size;
  else if (n_inner <= BLOCK / 2)  /* whole rows, so that each task begins with a full block */
    context.per_task = context.per_task / n_inner * n_inner;
  fg_parallel((context.size + context.per_task - 1) / context.per_task, run_task, &context);
}
