/* The names of a *_body.h file stand for float64 from here on: T the element, V a vector of LANES of
 * them, I and VI integers of their size, M(f) the name f of a function for this type. */
#undef T
#undef I
#undef V
#undef VI
#undef LANES
#undef M
#define T double
#define I int64_t
#define V fg_vf64
#define VI fg_vi64
#define LANES FG_LANES_F64
#define M(f) f##_f64
