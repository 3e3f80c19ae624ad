/* GRU and LSTM over whole sequences, and back.
 *
 * A task takes some rows of the batch through all steps: their state stays in the first cache, the
 * weight of the recurrence in the second, and no thread waits for another. Each step is one product
 * and one pass over the gates. Going back gives the gradients of the gates; those of the weight are
 * one product over all rows and steps, which the caller makes. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "threads.h"
#include "scalar_math.h"

#include "f32.h"
#include "recurrent_body.h"
#include "f64.h"
#include "recurrent_body.h"

#define N_TASKS(s) (((s)->batch + FG_RECURRENT_ROWS - 1) / FG_RECURRENT_ROWS)

void FG(recurrent)(int f64, const fg_recurrent *s, const void *gates, const void *h, const void *c,
                   const void *weight, const void *bias, void *out, void *saved, void *workspace) {
  if (f64) {
    recurrent_call_f64 p = {.s = s, .gates = gates, .h = h, .c = c, .weight = weight, .bias = bias,
                            .made = out, .kept = saved, .workspace = workspace};
    fg_parallel(N_TASKS(s), recurrent_task_f64, &p);
  } else {
    recurrent_call_f32 p = {.s = s, .gates = gates, .h = h, .c = c, .weight = weight, .bias = bias,
                            .made = out, .kept = saved, .workspace = workspace};
    fg_parallel(N_TASKS(s), recurrent_task_f32, &p);
  }
}

void FG(recurrent_gradient)(int f64, const fg_recurrent *s, const void *g, const void *h,
                            const void *c, const void *weight, const void *out, const void *saved,
                            void *ggates, void *ghidden, void *gh, void *gc) {
  if (f64) {
    recurrent_call_f64 p = {.s = s, .g = g, .h = h, .c = c, .weight = weight, .out = out,
                            .saved = saved, .ggates = ggates, .ghidden = ghidden, .gh = gh, .gc = gc};
    fg_parallel(N_TASKS(s), recurrent_gradient_task_f64, &p);
  } else {
    recurrent_call_f32 p = {.s = s, .g = g, .h = h, .c = c, .weight = weight, .out = out,
                            .saved = saved, .ggates = ggates, .ghidden = ghidden, .gh = gh, .gc = gc};
    fg_parallel(N_TASKS(s), recurrent_gradient_task_f32, &p);
  }
}
