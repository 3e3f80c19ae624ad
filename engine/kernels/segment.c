/* Rows that share a segment: their sum, extremum or softmax, and rows picked by an index.
 *
 * Rows are first listed by segment (a counting sort of the ids, unless they ascend already), each
 * segment's in their own order. Then every segment belongs to one task, which goes through its rows
 * in that order: nothing is added atomically, and results depend neither on the number of threads
 * nor on the other segments. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "scalar_math.h"

#define TASK_ELEMENTS 65536
#define SUM_BLOCK 128         /* rows added up before they join the sum of those before */
#define SOFTMAX_FEATURES 64   /* features of a segment's softmax at a time */
#define SOFTMAX_BUFFER 1024

enum { SUM, MAXIMUM, MINIMUM, SOFTMAX };

/* The segments of task i: those whose rows begin in [i, i + 1) * rows_per_task. */
static void segments_of(const ptrdiff_t *start, ptrdiff_t n_segments, ptrdiff_t rows_per_task,
                        ptrdiff_t n_tasks, ptrdiff_t i, ptrdiff_t *first, ptrdiff_t *last) {
  ptrdiff_t *bounds[2] = {first, last};
  for (int k = 0; k < 2; k++) {
    ptrdiff_t low = 0, high = n_segments;
    if (i + k == n_tasks) low = high;
    while (low < high) {
      ptrdiff_t middle = low + (high - low) / 2;
      if (start[middle] < (i + k) * rows_per_task)
        low = middle + 1;
      else
        high = middle;
    }
    *bounds[k] = low;
  }
}

#include "f32.h"
#include "segment_body.h"
#include "f64.h"
#include "segment_body.h"

ptrdiff_t FG(segment_order)(const ptrdiff_t *ids, ptrdiff_t n_rows, ptrdiff_t n_segments,
                            int skip_missing, ptrdiff_t *start, ptrdiff_t *order, int *sorted) {
  const ptrdiff_t least = skip_missing ? -1 : 0;
  ptrdiff_t before = 0;
  int ascending = 1;
  memset(start, 0, (n_segments + 1) * sizeof *start);
  for (ptrdiff_t e = 0; e < n_rows; e++) {
    const ptrdiff_t id = ids[e];
    if (id < least || id >= n_segments) return e;
    ascending &= id >= before;
    before = id;
    if (id >= 0) start[id + 1]++;
  }
  for (ptrdiff_t s = 0; s < n_segments; s++) start[s + 1] += start[s];
  *sorted = ascending;
  if (ascending) return -1;
  /* start[s] runs to the end of segment s while its rows are listed, and is put back after. */
  for (ptrdiff_t e = 0; e < n_rows; e++)
    if (ids[e] >= 0) order[start[ids[e]]++] = e;
  memmove(start + 1, start, n_segments * sizeof *start);
  start[0] = 0;
  return -1;
}

void FG(segment_reduce)(int f64, int kind, const void *x, const ptrdiff_t *start,
                        const ptrdiff_t *order, void *out, void *arg, ptrdiff_t n_segments,
                        ptrdiff_t features) {
  f64 ? segment_reduce_f64(kind, x, start, order, out, arg, n_segments, features)
      : segment_reduce_f32(kind, x, start, order, out, arg, n_segments, features);
}

void FG(segment_pick)(int f64, int back, void *x, const void *index, void *rows, ptrdiff_t n,
                      ptrdiff_t features, ptrdiff_t n_x) {
  f64 ? segment_pick_f64(back, x, index, rows, n, features, n_x)
      : segment_pick_f32(back, x, index, rows, n, features, n_x);
}

typedef struct {
  const char *x;
  const ptrdiff_t *index;
  char *out;
  ptrdiff_t n, row_bytes, rows_per_task;
} gather_call;

FG_INLINE void copy_rows(const gather_call *g, ptrdiff_t first, ptrdiff_t last, ptrdiff_t size) {
  for (ptrdiff_t i = first; i < last; i++) {
    if (g->index[i] < 0)
      memset(g->out + i * size, 0, size);
    else
      memcpy(g->out + i * size, g->x + g->index[i] * size, size);
  }
}

static void gather_task(void *context, ptrdiff_t i) {
  const gather_call *g = context;
  const ptrdiff_t first = i * g->rows_per_task, last = FG_MIN(first + g->rows_per_task, g->n);
  switch (g->row_bytes) {  /* sizes that the compiler turns into moves */
    case 1: copy_rows(g, first, last, 1); break;
    case 4: copy_rows(g, first, last, 4); break;
    case 8: copy_rows(g, first, last, 8); break;
    case 12: copy_rows(g, first, last, 12); break;
    case 16: copy_rows(g, first, last, 16); break;
    case 128: copy_rows(g, first, last, 128); break;
    case 256: copy_rows(g, first, last, 256); break;
    case 512: copy_rows(g, first, last, 512); break;
    default: copy_rows(g, first, last, g->row_bytes);
  }
}

ptrdiff_t FG(gather)(const void *x, ptrdiff_t n_x, const ptrdiff_t *index, ptrdiff_t n,
                     int skip_missing, void *out, ptrdiff_t row_bytes) {
  const ptrdiff_t least = skip_missing ? -1 : 0;
  int outside = 0;
  for (ptrdiff_t i = 0; i < n; i++) outside |= (index[i] < least) | (index[i] >= n_x);
  if (outside)
    for (ptrdiff_t i = 0; i < n; i++)
      if (index[i] < least || index[i] >= n_x) return i;
  if (!row_bytes) return -1;
  gather_call g = {x, index, out, n, row_bytes, FG_MAX(1, TASK_ELEMENTS * 4 / row_bytes)};
  fg_parallel((n + g.rows_per_task - 1) / g.rows_per_task, gather_task, &g);
  return -1;
}
