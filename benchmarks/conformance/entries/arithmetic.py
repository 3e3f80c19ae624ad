"""Arithmetic, comparison, selection, rounding, bits and dtypes, elementwise."""

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, LeftOut, composed, renamed, same

__all__ = ["ENTRIES"]


def _divide(x, y, *, rounding_mode=None):
    if rounding_mode is None:
        return fg.divide(x, y)
    return fg.floor_divide(x, y) if rounding_mode == "floor" else fg.trunc(fg.divide(x, y))


def _clip(x, min=None, max=None):
    return fg.clip(x, min, max)


def _round(x, *, decimals=0):
    return fg.round(x * 10.0**decimals) / 10.0**decimals if decimals else fg.round(x)


def _cast(dtype):
    return Entry(lambda x, **_: fg.astype(x, dtype))


def _to(x, *args, dtype=None, **_):
    kinds = [a.dtype if isinstance(a, fg.Tensor) else a for a in args]
    kinds = [kind for kind in kinds if isinstance(kind, np.dtype)]
    return fg.astype(x, dtype or (kinds[0] if kinds else x.dtype))


def _power_of(x, y):
    if np.any(np.asarray(y.data if isinstance(y, fg.Tensor) else y) <= 0):
        raise LeftOut("the exponent of a number that is not positive has gradient 0, not NaN")
    return y**x


def _where(condition, x, y):
    return fg.where(condition, x, y)


def _fill(x, value):
    return fg.full_like(x, value.item() if isinstance(value, fg.Tensor) else value)


def _nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    return fg.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _isclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False):
    return fg.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)


def _bits(name):
    return Entry(lambda x, y: getattr(fg, name)(x, y))


ENTRIES = {
    **same("abs add atan2 ceil copysign floor fmax fmin fmod frac hypot imag lerp maximum minimum"),
    **same("nextafter positive real reciprocal remainder sign signbit square sqrt trunc"),
    **same("logical_and logical_or logical_not logical_xor isfinite isnan isinf isposinf isneginf"),
    **same("bitwise_and bitwise_or bitwise_xor floor_divide gcd lcm heaviside isreal"),
    **same("logaddexp logaddexp2 rsqrt deg2rad rad2deg"),
    **renamed(sgn="sign"),
    **renamed(mul="multiply", neg="negative", conj="conj", conj_physical="conj", div="divide"),
    **renamed(eq="equal", ne="not_equal", lt="less", le="less_equal", gt="greater"),
    **renamed(ge="greater_equal", true_divide="divide", bitwise_not="bitwise_invert"),
    **renamed(bitwise_left_shift="bitwise_left_shift", bitwise_right_shift="bitwise_right_shift"),
    "add": Entry(lambda x, y, *, alpha=1: fg.add(x, y if alpha == 1 else y * alpha)),
    "sub": Entry(lambda x, y, *, alpha=1: fg.subtract(x, y if alpha == 1 else y * alpha)),
    "rsub": Entry(lambda x, y, *, alpha=1: fg.subtract(y, x if alpha == 1 else x * alpha)),
    "div.no_rounding_mode": Entry(_divide),
    "div.trunc_rounding": composed(_divide),
    "div.floor_rounding": Entry(_divide),
    "__radd__": Entry(lambda x, y: y + x),
    "__rdiv__": Entry(lambda x, y: y / x),
    "__rmul__": Entry(lambda x, y: y * x),
    "__rmod__": Entry(lambda x, y: y % x),
    "__rpow__": Entry(_power_of),
    "__rsub__": Entry(lambda x, y: y - x),
    "__rand__": Entry(lambda x, y: y & x),
    "__ror__": Entry(lambda x, y: y | x),
    "__rxor__": Entry(lambda x, y: y ^ x),
    "clamp": Entry(_clip),
    "clamp_max": Entry(lambda x, y: fg.minimum(x, y)),
    "clamp_min": Entry(lambda x, y: fg.maximum(x, y)),
    "max.binary": Entry(lambda x, y: fg.maximum(x, y)),
    "min.binary": Entry(lambda x, y: fg.minimum(x, y)),
    "round": Entry(_round),
    "round.decimals_0": Entry(_round),
    "round.decimals_3": composed(_round),
    "round.decimals_neg_3": composed(_round),
    "addcmul": composed(lambda x, a, b, *, value=1: x + a * b * value),
    "addcdiv": composed(lambda x, a, b, *, value=1: x + a / b * value),
    "where": Entry(lambda x, condition, y: fg.where(condition, x, y)),
    "fill": Entry(_fill),
    "zero_": Entry(lambda x: fg.zeros_like(x)),
    "nan_to_num": Entry(_nan_to_num),
    "isclose": Entry(_isclose),
    "allclose": Entry(lambda x, y, **kw: fg.allclose(x, y, **kw)),
    "equal": Entry(lambda x, y: fg.array_equal(x, y)),
    "angle": Entry(lambda x: fg.angle(x)),
    "complex": composed(lambda x, y: x + y * 1j),
    "polar": composed(lambda r, phi: fg.cos(phi) * r + fg.sin(phi) * r * 1j),
    "ldexp": composed(lambda x, y: x * fg.exp2(y)),
    "frexp": Entry(lambda x: fg.frexp(x)),
    "item": Entry(lambda x: x.item()),
    "to": Entry(_to),
    "bfloat16": Absent("NumPy has no bfloat16"),
    "double": _cast("float64"),
    "float": _cast("float32"),
    "half": _cast("float16"),
    "cdouble": _cast("complex128"),
    "cfloat": _cast("complex64"),
    "chalf": Absent("NumPy has no complex32"),
    "bool": _cast("bool"),
    "byte": _cast("uint8"),
    "char": _cast("int8"),
    "int": _cast("int32"),
    "long": _cast("int64"),
    "short": _cast("int16"),
    "resolve_conj": Entry(lambda x: fg.positive(x)),
    "resolve_neg": Entry(lambda x: fg.positive(x)),
    "view_as_real": composed(lambda x: fg.stack([fg.real(x), fg.imag(x)], axis=-1)),
    "view_as_complex": composed(lambda x: x[..., 0] + x[..., 1] * 1j),
}
