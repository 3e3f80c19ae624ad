/* What a copy of a strided array to memory of another layout needs: sizes, and strides that count
 * elements, of both. Strides of `to` are not negative; no two of its elements share memory. */
#ifndef FG_COPY_H
#define FG_COPY_H

#include <stddef.h>

#define FG_COPY_AXES 8

typedef struct {
  int n_axes;
  ptrdiff_t size[FG_COPY_AXES], from[FG_COPY_AXES], to[FG_COPY_AXES];
} fg_copy_axes;

#endif
