/* The struct of kernel pointers of one instruction set. */
#include "isa.h"
#include "kernels.h"

#define FG_DECLARE(result, name, arguments) result FG(name) arguments;
FG_KERNELS(FG_DECLARE)

#define FG_STRING_(x) #x
#define FG_STRING(x) FG_STRING_(x)
#define FG_ENTRY(result, name, arguments) .name = FG(name),
const fg_kernels FG(fg_table) = {.isa = FG_STRING(FG_ISA), FG_KERNELS(FG_ENTRY)};
