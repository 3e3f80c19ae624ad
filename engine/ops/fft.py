"""Discrete Fourier transforms.

Three linear maps have kernels: complex to complex, real to half of the complex frequencies, and
back. Each is its own transpose but for padding, so gradients of any order are transforms again (see
``complex.py`` for what the gradient of a complex number is). Everything else is made of them.

The transform of x is X_k = Σ_j x_j exp(-2πi jk/n). ``norm`` says which direction divides by n:
"backward" (default) the inverse, "forward" the transform, "ortho" each by √n.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import DEFAULT_FLOAT, Tensor
from fieldgrad.engine.errors import DTypeError, ShapeError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.complex import conj, real
from fieldgrad.engine.ops.layout import pad, roll

Axes = int | Sequence[int] | None
OTHER_NORM = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


@op(kernel="dft", shape=shapes.dft, samples=samples.spectra)
def dft(x: TensorLike, /, axes: Sequence[int], inverse: bool = False, norm: str = "backward"):
    """Discrete Fourier transform of complex numbers over axes: what `fftn` and its like call.

    Parameters
    ----------
    x : Tensor
        Complex numbers, any shape.
    axes : sequence of int
        Axes to transform.
    inverse : bool, default False
        Whether to transform back.
    norm : {"backward", "ortho", "forward"}
        Which direction divides by the number of elements.
    """


@dft.vjp
def _(g, axes, inverse, norm):
    return dft(g, axes=axes, inverse=inverse, norm=norm)  # the matrix is symmetric


@op(kernel="real_dft", shape=shapes.real_dft, samples=samples.signals)
def real_dft(x: TensorLike, /, axes: Sequence[int], norm: str = "backward"):
    """Transform of real numbers: the n // 2 + 1 frequencies of the last axis that suffice.

    Parameters
    ----------
    x : Tensor
        Real numbers, any shape.
    axes : sequence of int
        Axes to transform; of the last one half of the frequencies remain.
    norm : {"backward", "ortho", "forward"}
        As for `dft`.
    """


@real_dft.vjp
def _(g, x_shape, axes, norm):
    whole = _resized(g, (x_shape[axes[-1]],), axes[-1:])
    return real(dft(whole, axes=axes, norm=norm))


@op(kernel="inverse_real_dft", shape=shapes.inverse_real_dft, samples=samples.half_spectra)
def inverse_real_dft(x: TensorLike, /, axes: Sequence[int], n: int, norm: str = "backward"):
    """The n real numbers along the last axis whose `real_dft` is x.

    Parameters
    ----------
    x : Tensor
        Complex numbers, any shape, n // 2 + 1 along the last of the axes. The imaginary parts of
        frequencies that are real in the transform of real numbers have no effect.
    axes : sequence of int
        Axes to transform back.
    n : int
        Length of the last of them in the result.
    norm : {"backward", "ortho", "forward"}
        As for `dft`.
    """


@inverse_real_dft.vjp
def _(g, x_shape, x_dtype, axes, n, norm):
    # Every frequency stands for two, but for 0 and, of an even number, the highest.
    size = x_shape[axes[-1]]
    twice = np.full(size, 2.0, g.dtype)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    along = [1] * len(x_shape)
    along[axes[-1]] = size
    whole = dft(g.astype(x_dtype), axes=axes, inverse=True, norm=norm)
    return _resized(whole, (size,), axes[-1:]) * twice.reshape(along)


def fft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Discrete Fourier transform along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape, real or complex.
    n : int, optional
        Length of the axis: x is cut, or filled with zeros at its end.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        "forward" divides by n, "ortho" by √n.

    Returns
    -------
    Tensor
        Complex numbers, shape of x but for n.

    Raises
    ------
    ValueError
        If norm is something else.
    ShapeError
        If the axis does not exist or n is not positive.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.fft.fft(fg.tensor([1.0, 0.0, 0.0])).tolist()
    [(1+0j), (1+0j), (1+0j)]
    """
    return fftn(x, s=None if n is None else (n,), axes=(axis,), norm=norm)


def ifft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of `fft` along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape, real or complex.
    n : int, optional
        Length of the axis: x is cut, or filled with zeros at its end.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        "backward" divides by n, "ortho" by √n.

    Returns
    -------
    Tensor
        Complex numbers, shape of x but for n.
    """
    return ifftn(x, s=None if n is None else (n,), axes=(axis,), norm=norm)


def fftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Tensor:
    """Discrete Fourier transform over several axes.

    Parameters
    ----------
    x : Tensor
        Any shape, real or complex.
    s : sequence of int, optional
        Length of each axis: x is cut, or filled with zeros at its end; -1 leaves it.
    axes : sequence of int, optional
        Which axes; by default all, or the last len(s).
    norm : {"backward", "ortho", "forward"}
        "forward" divides by the product of the lengths, "ortho" by its square root.

    Returns
    -------
    Tensor
        Complex numbers, shape of x but for s.
    """
    return _transform("fftn", x, s, axes, norm, inverse=False)


def ifftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Tensor:
    """Inverse of `fftn`.

    Parameters
    ----------
    x : Tensor
        Any shape, real or complex.
    s : sequence of int, optional
        Length of each axis: x is cut, or filled with zeros at its end; -1 leaves it.
    axes : sequence of int, optional
        Which axes; by default all, or the last len(s).
    norm : {"backward", "ortho", "forward"}
        "backward" divides by the product of the lengths, "ortho" by its square root.

    Returns
    -------
    Tensor
        Complex numbers, shape of x but for s.
    """
    return _transform("ifftn", x, s, axes, norm, inverse=True)


def rfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Discrete Fourier transform of real numbers along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape, real.
    n : int, optional
        Length of the axis: x is cut, or filled with zeros at its end.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        As for `fft`.

    Returns
    -------
    Tensor
        Complex numbers: the frequencies 0 to n // 2. The others are their conjugates.

    Raises
    ------
    DTypeError
        If x is complex.
    """
    return rfftn(x, s=None if n is None else (n,), axes=(axis,), norm=norm)


def irfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of `rfft` along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape, complex: frequencies from 0 on.
    n : int, optional
        Length of the axis in the result, 2 (m - 1) for m frequencies by default; rfft of an odd
        number of elements has its inverse only if n says so.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        As for `ifft`.

    Returns
    -------
    Tensor
        Real numbers, shape of x but for n.
    """
    return irfftn(x, s=None if n is None else (n,), axes=(axis,), norm=norm)


def rfftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Tensor:
    """Discrete Fourier transform of real numbers over several axes.

    Parameters
    ----------
    x : Tensor
        Any shape, real.
    s : sequence of int, optional
        Length of each axis: x is cut, or filled with zeros at its end; -1 leaves it.
    axes : sequence of int, optional
        Which axes; by default all, or the last len(s).
    norm : {"backward", "ortho", "forward"}
        As for `fftn`.

    Returns
    -------
    Tensor
        Complex numbers; of the last of the axes the frequencies 0 to n // 2.

    Raises
    ------
    DTypeError
        If x is complex.
    """
    if x.dtype.kind == "c":
        raise DTypeError(f"rfftn: x has dtype {x.dtype}; expected real numbers. Use fftn.")
    lengths, order = _lengths("rfftn", x, s, axes, norm)
    x = x if x.dtype.kind == "f" else x.astype(DEFAULT_FLOAT)
    return real_dft(_resized(x, lengths, order), axes=order, norm=norm)


def irfftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Axes = None, norm: str = "backward"
) -> Tensor:
    """Inverse of `rfftn`.

    Parameters
    ----------
    x : Tensor
        Any shape, complex: of the last of the axes the frequencies from 0 on.
    s : sequence of int, optional
        Length of each axis in the result; by default as in x, of the last one 2 (m - 1) for m
        frequencies.
    axes : sequence of int, optional
        Which axes; by default all, or the last len(s).
    norm : {"backward", "ortho", "forward"}
        As for `ifftn`.

    Returns
    -------
    Tensor
        Real numbers.
    """
    lengths, order = _lengths("irfftn", x, s, axes, norm)
    if s is None or s[-1] == -1:
        lengths = (*lengths[:-1], 2 * (x.shape[order[-1]] - 1))
    n = lengths[-1]
    if n < 1:
        raise ShapeError(f"irfftn: the last axis would have {n} elements; expected at least 1.")
    half = _resized(_as_complex(x), (*lengths[:-1], n // 2 + 1), order)
    return inverse_real_dft(half, axes=order, n=n, norm=norm)


def hfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Discrete Fourier transform of half of a signal whose other half is its conjugate.

    Parameters
    ----------
    x : Tensor
        Any shape, complex: the elements from 0 on.
    n : int, optional
        Length of the axis in the result, 2 (m - 1) for m elements by default.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        As for `fft`.

    Returns
    -------
    Tensor
        Real numbers, shape of x but for n.
    """
    _check_norm("hfft", norm)
    return irfft(conj(x), n=n, axis=axis, norm=OTHER_NORM[norm])


def ihfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of `hfft` along an axis.

    Parameters
    ----------
    x : Tensor
        Any shape, real.
    n : int, optional
        Length of the axis: x is cut, or filled with zeros at its end.
    axis : int, default -1
        Which axis.
    norm : {"backward", "ortho", "forward"}
        As for `ifft`.

    Returns
    -------
    Tensor
        Complex numbers: the elements 0 to n // 2.
    """
    _check_norm("ihfft", norm)
    return conj(rfft(x, n=n, axis=axis, norm=OTHER_NORM[norm]))


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """The frequencies of the elements that `fft` gives.

    Parameters
    ----------
    n : int
        Number of elements.
    d : float, default 1.0
        Distance between the samples; the frequencies are in cycles per unit of it.
    dtype : dtype_like, optional
        Type of the result, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape (n,): 0, 1, … , -2, -1, divided by d n.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.fft.fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return Tensor(np.fft.fftfreq(n, d).astype(DEFAULT_FLOAT if dtype is None else dtype))


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """The frequencies of the elements that `rfft` gives.

    Parameters
    ----------
    n : int
        Number of elements of the signal.
    d : float, default 1.0
        Distance between the samples; the frequencies are in cycles per unit of it.
    dtype : dtype_like, optional
        Type of the result, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape (n // 2 + 1,): 0, 1, … , n // 2, divided by d n.
    """
    return Tensor(np.fft.rfftfreq(n, d).astype(DEFAULT_FLOAT if dtype is None else dtype))


def fftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """The frequencies in ascending order: 0 moved to the middle.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axes : int or sequence of int, optional
        Which axes; all by default.

    Returns
    -------
    Tensor
        Shape of x.
    """
    order = shapes.normalize_axes(axes, x.ndim, "fftshift")
    return roll(x, tuple(x.shape[a] // 2 for a in order), order)


def ifftshift(x: Tensor, /, *, axes: Axes = None) -> Tensor:
    """Inverse of `fftshift`: the middle moved to 0.

    Parameters
    ----------
    x : Tensor
        Any shape.
    axes : int or sequence of int, optional
        Which axes; all by default.

    Returns
    -------
    Tensor
        Shape of x.
    """
    order = shapes.normalize_axes(axes, x.ndim, "ifftshift")
    return roll(x, tuple(-(x.shape[a] // 2) for a in order), order)


def _transform(
    name: str, x: Tensor, s: Sequence[int] | None, axes: Axes, norm: str, *, inverse: bool
) -> Tensor:
    if not x.ndim and not axes and not s:
        return _as_complex(x)  # no axes, nothing to do
    lengths, order = _lengths(name, x, s, axes, norm)
    return dft(_resized(_as_complex(x), lengths, order), axes=order, inverse=inverse, norm=norm)


def _as_complex(x: Tensor) -> Tensor:
    return (
        x
        if x.dtype.kind == "c"
        else x.astype(
            np.result_type(x.dtype if x.dtype.kind == "f" else DEFAULT_FLOAT, np.complex64)
        )
    )


def _check_norm(name: str, norm: str) -> None:
    if norm not in OTHER_NORM:
        raise ValueError(f"{name}: norm = {norm!r}; expected 'backward', 'ortho' or 'forward'.")


def _lengths(
    name: str, x: Tensor, s: Sequence[int] | None, axes: Axes, norm: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Length of each axis to transform, and the axes, checked."""
    _check_norm(name, norm)
    if axes is None and s is not None:
        axes = tuple(range(-len(s), 0))
    order = shapes.normalize_axes(axes, x.ndim, name)
    if s is not None and len(s) != len(order):
        raise ShapeError(
            f"{name}: s = {tuple(s)} for axes = {axes}; expected one length for each axis."
        )
    lengths = tuple(
        x.shape[a] if s is None or s[i] == -1 else int(s[i]) for i, a in enumerate(order)
    )
    if not order or any(n < 1 for n in lengths):
        raise ShapeError(
            f"{name}: x has shape {x.shape}, the axes {order} would have {lengths} elements; "
            "expected at least one axis, and at least 1 element on each."
        )
    return lengths, order


def _resized(x: Tensor, lengths: Sequence[int], axes: Sequence[int]) -> Tensor:
    """x with axes cut, or filled with zeros at their ends."""
    target = dict(zip(axes, lengths, strict=True))
    if any(n < x.shape[a] for a, n in target.items()):
        x = x[tuple(slice(target.get(a)) for a in range(x.ndim))]
    if any(n > x.shape[a] for a, n in target.items()):
        x = pad(x, [(0, target.get(a, x.shape[a]) - x.shape[a]) for a in range(x.ndim)])
    return x
