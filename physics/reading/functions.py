"""What formulas may call: functions of NumPy, awkward and math, kinematics, weaver-core's own.

All of them compute from their arguments alone: none reads or writes a file, draws a random number
or gives access to Python. A field's user may add functions of their own (`DataConfig`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fieldgrad.engine.errors import require
from fieldgrad.physics.jets import kinematics
from fieldgrad.physics.jets.batch import pad

__all__ = ["ATTRIBUTES", "FUNCTIONS", "MODULES", "find_function", "is_awkward", "to_awkward"]

MODULES: Mapping[str, str] = {
    "np": "numpy", "numpy": "numpy", "ak": "awkward", "awkward": "awkward", "math": "math",
}  # fmt: skip

_LISTS: Mapping[str, str] = {
    "numpy": """
        abs absolute add all amax amin angle any arccos arccosh arcsin arcsinh arctan
        arctan2 arctanh argmax argmin argsort around array asarray average bitwise_and bitwise_not
        bitwise_or bitwise_xor bool_ cbrt ceil clip column_stack concatenate copysign cos cosh
        count_nonzero cross cumprod cumsum deg2rad degrees diff digitize divide dot e einsum equal
        exp exp2 expand_dims expm1 fabs float32 float64 float_power floor floor_divide fmax fmin
        fmod full_like greater greater_equal heaviside hypot inf int16 int32 int64 int8 invert
        isclose isfinite isin isinf isnan left_shift less less_equal linalg.norm log log10 log1p
        log2 logaddexp logical_and logical_not logical_or logical_xor max maximum mean median min
        minimum mod multiply nan nan_to_num nanmax nanmean nanmin nansum negative newaxis not_equal
        ones_like pi positive power prod ptp rad2deg radians ravel reciprocal remainder reshape
        right_shift rint round searchsorted select sign signbit sin sinh sort split sqrt square
        squeeze stack std subtract sum swapaxes take take_along_axis tan tanh transpose true_divide
        trunc uint16 uint32 uint64 uint8 unique unwrap var where zeros_like
    """,
    "awkward": """
        all any argcartesian argcombinations argmax argmin argsort broadcast_arrays cartesian
        combinations concatenate corr count count_nonzero covar drop_none fields fill_none firsts
        flatten from_numpy from_regular full_like is_none isclose local_index mask max mean min
        moment nan_to_none nan_to_num nanargmax nanargmin nanmax nanmean nanmin nanprod nanstd
        nansum nanvar num ones_like pad_none prod ptp ravel run_lengths singletons softmax sort std
        sum to_numpy to_packed to_regular unflatten unzip values_astype var where with_field
        with_name without_field zeros_like zip
    """,
    "math": """
        acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh degrees e exp expm1 fabs
        floor fmod hypot inf isfinite isinf isnan log log10 log1p log2 nan pi pow radians sin sinh
        sqrt tan tanh tau trunc
    """,
}
_NAMES = {library: frozenset(names.split()) for library, names in _LISTS.items()}
# math's functions take arrays here, as NumPy's do; most have the same names there.
_MATH_IN_NUMPY = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atan2": "arctan2", "atanh": "arctanh", "pow": "power",
}  # fmt: skip

# What may follow a dot behind a value: reductions of arrays, and the properties and methods of
# vector's four-vectors. The fields of records may too.
_ATTRIBUTES = """
    T all any argmax argmin argsort astype clip cumsum flatten max mean min ndim prod ravel reshape
    round shape size sort squeeze std sum swapaxes transpose var

    E E2 M M2 Mt Mt2 e energy et eta gamma m m2 mag mass mass2 mt mt2 p p2 phi pt pt2 px py pz
    rapidity rho rho2 t t2 tau tau2 theta x y z beta boost boost_beta3 boost_p4 boostCM_of
    boostCM_of_p4 costheta cross deltaR deltaR2 deltaRapidityPhi deltaangle deltaeta deltaphi dot
    rotateZ to_beta3 to_Vector2D to_Vector3D to_Vector4D unit
"""
ATTRIBUTES = frozenset(_ATTRIBUTES.split())


def is_awkward(value: Any) -> bool:
    """Tell whether a value is an awkward array, without importing the library.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.
    """
    return type(value).__module__.partition(".")[0] in ("awkward", "vector")


def to_awkward(value: Any) -> Any:
    """Make an awkward array of an array, if it is none yet.

    Parameters
    ----------
    value : array_like
        NumPy or awkward array.

    Returns
    -------
    awkward.Array
        The same values.
    """
    ak = require("awkward", extra="physics")
    return value if isinstance(value, ak.Array) else ak.Array(np.asarray(value))


def find_function(module: str, path: str) -> Any:
    """Give what a dotted name of a module stands for.

    Parameters
    ----------
    module : str
        ``"np"``, ``"ak"``, ``"math"`` or their long forms.
    path : str
        Name in the module.

    Returns
    -------
    object or None
        The function, type or constant; None if it is not on the list.
    """
    library = MODULES[module]
    if path not in _NAMES[library]:
        return None
    if library == "math":
        library, path = "numpy", _MATH_IN_NUMPY.get(path, path)
        if path == "tau":
            return 2 * np.pi
    found: Any = np if library == "numpy" else require("awkward", extra="physics")
    for part in path.split("."):
        found = getattr(found, part)
    return found


def names_of(module: str) -> frozenset[str]:
    """List what formulas may use of a module.

    Parameters
    ----------
    module : str
        As for `find_function`.

    Returns
    -------
    frozenset of str
        Names in the module.
    """
    return _NAMES[MODULES[module]]


# weaver-core's helpers, by the names that its data configurations call them.


def _hash(*columns: Any) -> Any:
    """Whole numbers that depend on the values of each row only, to split data by."""
    rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
    return np.array([hash(row) for row in rows], np.int64)


def _concat(arrays: Any, axis: int = 0) -> Any:
    if any(map(is_awkward, arrays)):
        return require("awkward", extra="physics").concatenate(list(arrays), axis=axis)
    return np.concatenate(list(arrays), axis=axis)


def _stack(arrays: Any, axis: int = 1) -> Any:
    if not any(map(is_awkward, arrays)):
        return np.stack(list(arrays), axis=axis)
    place = (slice(None),) * axis + (np.newaxis,)
    parts = [to_awkward(array)[place] for array in arrays]
    return require("awkward", extra="physics").concatenate(parts, axis=axis)


def _pad(array: Any, length: int, value: float = 0, dtype: str = "float32") -> Any:
    return _padded(array, length, "constant", value, dtype)


def _repeat_pad(array: Any, length: int, dtype: str = "float32") -> Any:
    return _padded(array, length, "wrap", 0.0, dtype)


def _padded(array: Any, length: int, mode: str, value: float, dtype: str) -> Any:
    ak = require("awkward", extra="physics")
    array = to_awkward(array)
    if array.ndim == 1:
        array = ak.unflatten(array, 1)
    offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(array)))])
    flat = ak.to_numpy(ak.flatten(array)).astype(dtype)
    return pad(flat, offsets, length, mode=mode, value=value)[0]


def _clip(array: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(array, low), high)


def _batch_argsort(array: Any) -> Any:
    return require("awkward", extra="physics").argsort(to_awkward(array))


def _batch_gather(array: Any, indices: Any) -> Any:
    return array[indices]


def _p4(*names: str) -> Callable[..., Any]:
    def make(*components: Any) -> Any:
        require("vector", extra="physics").register_awkward()
        ak = require("awkward", extra="physics")
        return ak.zip(
            dict(zip(names, map(to_awkward, components), strict=True)), with_name="Momentum4D"
        )

    return make


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "len": len,
    "max": np.maximum,
    "min": np.minimum,
    "pow": np.power,
    "round": np.round,
    **{name: getattr(kinematics, name) for name in kinematics.__all__},
    "_batch_argsort": _batch_argsort,
    "_batch_gather": _batch_gather,
    "_clip": _clip,
    "_concat": _concat,
    "_hash": _hash,
    "_p4_from_ptetaphie": _p4("pt", "eta", "phi", "energy"),
    "_p4_from_ptetaphim": _p4("pt", "eta", "phi", "mass"),
    "_p4_from_pxpypze": _p4("px", "py", "pz", "energy"),
    "_pad": _pad,
    "_repeat_pad": _repeat_pad,
    "_stack": _stack,
}
