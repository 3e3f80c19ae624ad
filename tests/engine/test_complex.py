"""Complex numbers forward, and real gradients through complex intermediate results."""

import numpy as np
import pytest

import fieldgrad.engine as fg


def leaf(*shape, seed=0):
    return fg.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def both_parts(z):
    """Complex numbers as real ones, so that gradients of both parts are checked."""
    return fg.concat([fg.real(z), fg.imag(z)], axis=None)


HOLOMORPHIC = {
    "negative": lambda z: -z,
    "square": fg.square,
    "exp": fg.exp,
    "expm1": fg.expm1,
    "log": fg.log,
    "log2": fg.log2,
    "log10": fg.log10,
    "log1p": fg.log1p,
    "sqrt": fg.sqrt,
    "reciprocal": fg.reciprocal,
    "sin": fg.sin,
    "cos": fg.cos,
    "tan": fg.tan,
    "sinh": fg.sinh,
    "cosh": fg.cosh,
    "tanh": fg.tanh,
    "asin": fg.asin,
    "acos": fg.acos,
    "atan": fg.atan,
    "asinh": fg.asinh,
    "acosh": fg.acosh,
    "atanh": fg.atanh,
    "power": lambda z: fg.power(z, 3.0),
    "add": lambda z: z + 2.0,
    "multiply": lambda z: z * (1.0 - 2.0j) * z,
    "divide": lambda z: (2.0 + 1.0j) / z - z / (1.0 + 3.0j),
    "sum": lambda z: fg.sum(z, axis=0),
    "mean": fg.mean,
    "prod": lambda z: fg.prod(z, axis=-1),
    "cumulative_sum": lambda z: fg.cumulative_sum(z, axis=0),
    "cumulative_prod": lambda z: fg.cumulative_prod(z, axis=0),
    "where": lambda z: fg.where(np.array([True, False]), z, z * z),
    "roll": lambda z: fg.roll(z, 1) * z,
    "getitem": lambda z: z[0] * z[[1, 1, 0]],
    "diff": lambda z: fg.diff(z * z, axis=0),
    "matmul": lambda z: z @ (z * 1j),
}
OF_PARTS = {
    "abs": fg.abs,
    "angle": fg.angle,
    "conj": lambda z: fg.conj(z) * z * z,
    "real": fg.real,
    "imag": lambda z: fg.imag(z * z),
    "real number times complex": lambda z: fg.real(z) * z,
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", [*HOLOMORPHIC, *OF_PARTS])
def test_gradients_through_complex_numbers(name, order):
    function = {**HOLOMORPHIC, **OF_PARTS}[name]

    def parts(a, b):
        return both_parts(function(a + b * 1j))

    fg.gradcheck(parts, [leaf(2, 2), leaf(2, 2, seed=1)], order=order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "fftn", "ifftn", "irfftn"])
@pytest.mark.parametrize("size", [4, 5])
def test_gradients_of_transforms_of_complex_numbers(name, size, norm, order):
    transform = getattr(fg.fft, name)
    resized = {"s": (3, 6)} if name.endswith("n") else {"n": 6}
    for options in ({}, resized):

        def parts(a, b, options=options):
            y = transform(a + b * 1j, norm=norm, **options)
            return both_parts(y * y)

        fg.gradcheck(parts, [leaf(2, 3, size), leaf(2, 3, size, seed=1)], order=order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "rfft", "ihfft", "rfftn", "ifftn"])
@pytest.mark.parametrize("size", [4, 5])
def test_gradients_of_transforms_of_real_numbers(name, size, norm, order):
    transform = getattr(fg.fft, name)
    resized = {"s": (3, 7)} if name.endswith("n") else {"n": 3}
    for options in ({}, resized):

        def parts(a, options=options):
            y = transform(a, norm=norm, **options)
            return both_parts(y * y)

        fg.gradcheck(parts, [leaf(2, 3, size)], order=order)


def test_energy_is_the_same_in_both_domains():
    x = leaf(7)
    signal, spectrum = fg.sum(x * x), fg.sum(fg.abs(fg.fft.fft(x, norm="ortho")) ** 2)
    assert abs(signal.item() - spectrum.item()) < 1e-12
    np.testing.assert_allclose(fg.grad(spectrum, x).numpy(), 2 * x.numpy(), rtol=1e-12)


def test_transforms_of_real_numbers_keep_their_precision():
    for dtype, complex_dtype in ((np.float32, np.complex64), (np.float64, np.complex128)):
        x = fg.ones(4, dtype=dtype)
        assert fg.fft.fft(x).dtype == complex_dtype
        assert fg.fft.rfft(x).dtype == complex_dtype
        assert fg.fft.irfft(fg.fft.rfft(x)).dtype == dtype
    assert fg.fft.fft(fg.ones(4, dtype="int64")).dtype == np.complex64


def test_what_has_no_complex_gradient_says_so():
    z = leaf(2) * 1j
    with pytest.raises(fg.errors.GradientError, match="x / abs"):
        fg.sum(fg.real(fg.sign(z))).backward()
    with pytest.raises(fg.errors.GradientError, match=r"exp\(y"):
        fg.sum(fg.real(fg.power(leaf(2) * 1j, leaf(2)))).backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: fg.fft.rfft(x * 1j), "Use fftn"),
        (lambda x: fg.fft.fft(x, norm="none"), "expected 'backward'"),
        (lambda x: fg.fft.fft(x, axis=3), "axis 3"),
        (lambda x: fg.fft.fft(x, n=0), "at least 1 element"),
        (lambda x: fg.fft.fftn(x, s=(2, 2), axes=(0,)), "one length for each axis"),
        (lambda x: fg.fft.irfft(x[:, :1]), "at least 1"),
    ],
)
def test_transforms_refuse_what_they_cannot_do(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(fg.ones((2, 3)))
