/* Optimizer steps, averages, and norms over all parameters at once.
 *
 * The rows form one line of elements that is cut into tasks of equal length, so thousands of small
 * arrays cost as much as one large one. The cut depends on the rows alone: results are bitwise the
 * same for any number of threads. */
#include "optimizer.h"

#include "isa.h"
#include "kernels.h"
#include "threads.h"

#include <math.h>
#include <stdlib.h>

#define TASK_ELEMENTS 16384
#define SERIAL_ELEMENTS 32768

FG_INLINE float root_f32(float x) { return sqrtf(x); }
FG_INLINE double root_f64(double x) { return sqrt(x); }

#include "f32.h"
#include "optimizer_body.h"
#include "f64.h"
#include "optimizer_body.h"

typedef void (*update_loop)(void *const *data, ptrdiff_t first, ptrdiff_t last, const double *s);

/* In the order of UPDATES in optim_kernels.pyx. */
static const update_loop updates[][2] = {
    {descend_f32, descend_f64}, {momentum_f32, momentum_f64}, {nesterov_f32, nesterov_f64},
    {adam_f32, adam_f64},       {approach_f32, approach_f64}, {scale_f32, scale_f64},
};

typedef struct {
  const update_loop *loops;  /* NULL: sums of squares, one per task */
  const fg_row *rows;
  ptrdiff_t n_rows, per_task;
  double *squares;
} work;

static void run_task(void *context, ptrdiff_t task) {
  const work *w = context;
  ptrdiff_t position = task * w->per_task, low = 0, high = w->n_rows - 1;
  ptrdiff_t stop = FG_MIN(position + w->per_task, w->rows[high].end);
  while (low < high) {  /* the first row that ends behind position */
    ptrdiff_t middle = (low + high) / 2;
    if (w->rows[middle].end > position) high = middle; else low = middle + 1;
  }
  double total = 0;
  for (ptrdiff_t r = low; position < stop; r++) {
    const fg_row *row = &w->rows[r];
    ptrdiff_t start = r ? w->rows[r - 1].end : 0, end = FG_MIN(stop, row->end);
    if (w->loops)
      w->loops[row->f64](row->data, position - start, end - start, row->scalars);
    else
      total += row->f64 ? squares_f64(row->data[0], position - start, end - start)
                        : squares_f32(row->data[0], position - start, end - start);
    position = end;
  }
  if (!w->loops) w->squares[task] = total;
}

static ptrdiff_t cut(work *w) {
  ptrdiff_t size = w->n_rows ? w->rows[w->n_rows - 1].end : 0;
  w->per_task = size <= SERIAL_ELEMENTS ? SERIAL_ELEMENTS : TASK_ELEMENTS;
  return (size + w->per_task - 1) / w->per_task;
}

void FG(update)(int kind, const fg_row *rows, ptrdiff_t n_rows) {
  work w = {.loops = updates[kind], .rows = rows, .n_rows = n_rows};
  ptrdiff_t n_tasks = cut(&w);
  fg_parallel(n_tasks, run_task, &w);
}

/* Squares of float32 are exact in double, where they do not overflow either. */
int FG(sum_of_squares)(const fg_row *rows, ptrdiff_t n_rows, double *total) {
  work w = {.rows = rows, .n_rows = n_rows};
  ptrdiff_t n_tasks = cut(&w);
  w.squares = malloc(sizeof(double) * (size_t)(n_tasks + 1));
  if (!w.squares) return -1;
  fg_parallel(n_tasks, run_task, &w);
  *total = 0;
  for (ptrdiff_t i = 0; i < n_tasks; i++) *total += w.squares[i];
  free(w.squares);
  return 0;
}
