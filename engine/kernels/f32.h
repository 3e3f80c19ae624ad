/* The names of a *_body.h file stand for float32 from here on: T the element, V a vector of LANES of
 * them, I and VI integers of their size, M(f) the name f of a function for this type. */
#undef T
#undef I
#undef V
#undef VI
#undef LANES
#undef M
#define T float
#define I int32_t
#define V fg_vf32
#define VI fg_vi32
#define LANES FG_LANES_F32
#define M(f) f##_f32
