/* Distances between points, and the nearest neighbors of each.
 *
 * Squared distances are sums of squared differences, in the order of the coordinates: nothing
 * cancels, however far from the origin the points lie, and a pair's distance depends on nothing
 * else. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "scalar_math.h"

#define ROWS 16               /* rows of x in a tile of distances */
#define DIMS 64               /* coordinates that are transposed at a time */
#define CANDIDATES 256        /* points whose distances are known before they are compared */
#define MAX_NEIGHBORS FG_MAX_NEIGHBORS
#define CLOUDS 4              /* of unequal size, in one task */

#include "f32.h"
#include "neighbors_body.h"
#include "f64.h"
#include "neighbors_body.h"

void FG(cdist)(int f64, int squared, const void *x, const void *y, void *out, ptrdiff_t batch,
               ptrdiff_t n, ptrdiff_t m, ptrdiff_t dims) {
  f64 ? cdist_f64(squared, x, y, out, batch, n, m, dims)
      : cdist_f32(squared, x, y, out, batch, n, m, dims);
}

void FG(knn)(int f64, const void *x, const uint8_t *mask, int64_t *index, ptrdiff_t batch,
             ptrdiff_t n, ptrdiff_t dims, ptrdiff_t k, int include_self) {
  f64 ? knn_f64(x, mask, index, batch, n, dims, k, include_self)
      : knn_f32(x, mask, index, batch, n, dims, k, include_self);
}

void FG(knn_ragged)(int f64, const void *x, const ptrdiff_t *offsets, int64_t *index,
                    ptrdiff_t batch, ptrdiff_t dims, ptrdiff_t k, int include_self) {
  f64 ? knn_ragged_f64(x, offsets, index, batch, dims, k, include_self)
      : knn_ragged_f32(x, offsets, index, batch, dims, k, include_self);
}
