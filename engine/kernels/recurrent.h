/* Sequences of a recurrent layer: batch rows that each go through some steps.
 *
 * Arrays are dense: gates (batch, steps, n_gates · hidden) and what else has an entry per step
 * likewise. A row with a length stands still from that step on, whichever way it goes. */
#ifndef FG_RECURRENT_H
#define FG_RECURRENT_H

#include <stddef.h>

typedef struct {
  int lstm, reverse;        /* the other kind is a GRU; reverse: from the last step to the first */
  ptrdiff_t batch, steps, hidden;
  const ptrdiff_t *lengths; /* (batch), or NULL: all steps */
} fg_recurrent;

#define FG_RECURRENT_ROWS 16 /* batch rows of a task */

#endif
