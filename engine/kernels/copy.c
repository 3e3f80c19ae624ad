/* Copies between arrays of any two memory layouts, by threads. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"

#define TASK_ELEMENTS 16384
/* A tile is read along one axis and written along another by way of a buffer, so that every cache
 * line is used up at once, however far apart in memory neighbors of the other axis lie. */
#define TILE_OUT 16
#define TILE_IN 64

static ptrdiff_t tiles(ptrdiff_t n, ptrdiff_t tile) { return (n + tile - 1) / tile; }

#define T uint32_t
#define M(f) f##_4
#include "copy_body.h"
#undef T
#undef M
#define T uint64_t
#define M(f) f##_8
#include "copy_body.h"

/* Sort the axes of `to` from slow to fast, drop those of one element, join those that follow one
 * another in both arrays. */
static fg_copy_axes simplify(const fg_copy_axes *given) {
  fg_copy_axes c = {.n_axes = 0};
  for (int i = 0; i < given->n_axes; i++) {
    if (given->size[i] == 1) continue;
    int k = c.n_axes++;
    for (; k > 0 && c.to[k - 1] < given->to[i]; k--) {
      c.size[k] = c.size[k - 1];
      c.from[k] = c.from[k - 1];
      c.to[k] = c.to[k - 1];
    }
    c.size[k] = given->size[i];
    c.from[k] = given->from[i];
    c.to[k] = given->to[i];
  }
  int last = 0;
  for (int i = 1; i < c.n_axes; i++) {
    const int joins = c.from[last] == c.from[i] * c.size[i] && c.to[last] == c.to[i] * c.size[i];
    if (!joins) last++;
    c.size[last] = joins ? c.size[last] * c.size[i] : c.size[i];
    c.from[last] = c.from[i];
    c.to[last] = c.to[i];
  }
  c.n_axes = FG_MIN(c.n_axes, last + 1);
  return c;
}

void FG(copy)(int element_size, const fg_copy_axes *axes, const void *from, void *to) {
  const fg_copy_axes c = simplify(axes);
  element_size == 4 ? copy_4(&c, from, to) : copy_8(&c, from, to);
}
