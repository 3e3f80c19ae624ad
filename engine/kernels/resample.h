/* A sparse matrix (n_out, n_in) by rows: those of row i are start[i] … start[i + 1] - 1. */
#ifndef FG_RESAMPLE_H
#define FG_RESAMPLE_H

#include <stddef.h>

typedef struct {
  ptrdiff_t n_in, n_out;
  const ptrdiff_t *start, *index;
  const double *weight;
} fg_taps;

#endif
