"""Parts of complex numbers.

Gradients with respect to complex numbers z = a + b i are carried as ∂L/∂a - i ∂L/∂b, so that the
rule of a function with a complex derivative reads as for real numbers: g · f'(z), and that of a
linear map is its transpose. Only the functions here and `abs` know that there are two parts. Leaves
are real: what arrives at them is the usual gradient.
"""

from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.samples import reals


@op(kernel="real", view=True, samples=reals)
def real(x: TensorLike, /):
    """The real part, elementwise; x itself if it is real."""


@real.vjp
def _(g, x_dtype):
    return g.astype(x_dtype)


@op(kernel="imag", view=True, samples=reals)
def imag(x: TensorLike, /):
    """The imaginary part, elementwise; 0 for real numbers."""


@imag.vjp
def _(g, x_dtype):
    return (g * -1j if x_dtype.kind == "c" else g * 0.0).astype(x_dtype)


@op(kernel="conj", view=True, samples=reals)
def conj(x: TensorLike, /):
    """The complex conjugate, elementwise; x itself if it is real."""


@conj.vjp
def _(g):
    return conj(g)
