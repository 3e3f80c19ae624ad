/* Choose the kernels of the best instruction set that this processor has. */
#include "kernels.h"

#include <string.h>

extern const fg_kernels fg_table_generic;
#ifdef FG_HAVE_avx2
extern const fg_kernels fg_table_avx2, fg_table_avx512;
#endif

const fg_kernels *fg_select(const char *isa) {
#ifdef FG_HAVE_avx2
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#ifdef FG_EMULATE_AVX512
  if (avx2 && isa && !strcmp(isa, "avx512")) return &fg_table_avx512;
#endif
  if (avx512 && (!isa || !strcmp(isa, "avx512"))) return &fg_table_avx512;
  if (avx2 && (!isa || !strcmp(isa, "avx2"))) return &fg_table_avx2;
#endif
  if (!isa || !strcmp(isa, "generic")) return &fg_table_generic;
  return NULL;
}
