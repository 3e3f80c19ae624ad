/* Sum, maximum and minimum over the middle of (outer, reduced, inner).
 *
 * Sums accumulate in double: runs of RUN elements are added by lanes in the element type, then the
 * runs in order in double. The cut into runs and tasks depends on sizes alone, so results are
 * bitwise the same for any number of threads. Maximum and minimum pass NaN on, as NumPy does. */
#include "isa.h"
#include "kernels.h"
#include "threads.h"

#include <math.h>
#include <stdlib.h>

#define RUN 512
#define TASK_ELEMENTS 65536
#define INNER_TILE 256

enum { SUM, MAXIMUM, MINIMUM };

#define FG_PICK_MAX(m, x) ((x) > (m) || (x) != (x) ? (x) : (m))
#define FG_PICK_MIN(m, x) ((x) < (m) || (x) != (x) ? (x) : (m))

#define T float
#define V fg_vf32
#define LANES FG_LANES_F32
#define M(f) f##_f32
#include "reduce_body.h"
#undef T
#undef V
#undef LANES
#undef M
#define T double
#define V fg_vf64
#define LANES FG_LANES_F64
#define M(f) f##_f64
#include "reduce_body.h"
