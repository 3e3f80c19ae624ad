/* Updates of many arrays in one call. */
#ifndef FG_OPTIMIZER_H
#define FG_OPTIMIZER_H

#include <stddef.h>

/* One array to be changed, data[0], with its companions of the same size and memory order: the
 * gradient, then the optimizer's state. The scalars are those of the update's kind. */
typedef struct {
  int f64;
  ptrdiff_t end;  /* elements of this row and all before it */
  void *data[4];
  double scalars[7];
} fg_row;

#endif
