/* Choose the kernels of the best instruction set that this processor has. */
#include "kernels.h"

#include <string.h>
#if defined(FG_HAVE_amx) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

int fg_bfloat16 = 0;

extern const fg_kernels fg_table_generic, fg_table_avx2, fg_table_avx512, fg_table_amx;

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
#ifdef FG_HAVE_amx
  int amx = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-bf16");
  if (amx && (!isa || !strcmp(isa, "amx"))) return &fg_table_amx;
#endif
  if (avx512 && (!isa || !strcmp(isa, "avx512"))) return &fg_table_avx512;
#endif
#ifdef FG_HAVE_avx2
  if (avx2 && (!isa || !strcmp(isa, "avx2"))) return &fg_table_avx2;
#endif
  if (!isa || !strcmp(isa, "generic")) return &fg_table_generic;
  return NULL;
}

/* Tiles are part of a thread's state, which the operating system must keep; Linux wants to be asked
 * for that, once for the process. */
int fg_round_products(const fg_kernels *kernels, int wanted) {
#if defined(FG_HAVE_amx) && defined(__linux__)
  const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
  if (!wanted || (kernels == &fg_table_amx && !syscall(SYS_arch_prctl, request, tile_data))) {
    fg_bfloat16 = wanted;
    return 0;
  }
#endif
  return wanted ? -1 : 0;
}
