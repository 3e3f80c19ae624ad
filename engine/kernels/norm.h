/* Sizes of a normalization: x is dense (batch, positions, channels), and each of `groups` runs of
 * adjacent channels has one mean and one variance for every batch entry.
 *
 * Instance norm has groups = channels, group norm fewer; batch norm is instance norm with the batch
 * counted among the positions; layer norm has one position and one group. */
#ifndef FG_NORM_H
#define FG_NORM_H

#include <stddef.h>

typedef struct {
  ptrdiff_t batch, positions, channels, groups;
  double eps;
  int given;              /* mean and rstd are inputs, and constants for the gradient */
  double negative_slope;  /* of a leaky ReLU applied to the result; 1 leaves the result as it is */
} fg_norm;

#endif
