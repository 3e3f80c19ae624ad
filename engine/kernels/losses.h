/* What the losses of classes are told about the truth, for logits of `batch` entries that each are
 * (positions, classes) if channels_last, else (classes, positions). */
#ifndef FG_LOSSES_H
#define FG_LOSSES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  ptrdiff_t batch, classes, positions;
  int channels_last;
  int size;               /* bytes of a class in target: 1 (unsigned), 4 or 8 (signed); or 0: */
  const void *target;     /* classes (batch, positions); or probabilities, laid out as the logits */
  int ignores;            /* whether positions of class `ignored` do not count */
  int64_t ignored;
  double smoothing;       /* share of every class in the truth, together */
  const double *weight;   /* (classes) or NULL */
} fg_truth;

#endif
