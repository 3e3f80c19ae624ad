/* Choose the kernels of the best instruction set that this processor has. */
#include "kernels.h"

#include <string.h>

extern const fg_kernels fg_table_generic, fg_table_avx2, fg_table_avx512;

/* The table of the named instruction set, or of the best one if none is named; NULL if this
   processor or this build lacks it. */
const fg_kernels *fg_select(const char *isa) {
#if defined(FG_HAVE_avx2) || defined(FG_HAVE_avx512)
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef FG_HAVE_avx512
#ifdef FG_EMULATE_AVX512
  int avx512 = avx2 && isa; /* only if asked for */
#else
  int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
  if (avx512 && (!isa || !strcmp(isa, "avx512"))) return &fg_table_avx512;
#endif
#ifdef FG_HAVE_avx2
  if (avx2 && (!isa || !strcmp(isa, "avx2"))) return &fg_table_avx2;
#endif
  if (!isa || !strcmp(isa, "generic")) return &fg_table_generic;
  return NULL;
}
