"""Normal distribution of vectors."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.distributions.base import Distribution, Shape, drawn
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import square
from fieldgrad.engine.ops.elementary import log
from fieldgrad.engine.ops.layout import broadcast_to, expand_dims
from fieldgrad.engine.ops.linalg import (
    cholesky,
    diagonal,
    matmul,
    matrix_transpose,
    solve_triangular,
)
from fieldgrad.engine.ops.reduce import sum

__all__ = ["MultivariateNormal"]


class MultivariateNormal(Distribution):
    """Normal distribution of vectors with correlated components.

    Parameters
    ----------
    loc : Tensor
        Shape (…, n): the mean.
    covariance_matrix : Tensor, optional
        Shape (…, n, n), symmetric and positive definite.
    scale_tril : Tensor, optional
        Instead of it: a lower triangular factor L, covariance L Lᵀ, with a positive diagonal.

    Raises
    ------
    ValueError
        If none or both of the last two are given.
    LinAlgError
        If the covariance is not positive definite.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> p = fg.distributions.MultivariateNormal([0.0, 0.0], covariance_matrix=fg.eye(2))
    >>> round(p.log_prob([0.0, 0.0]).item(), 4)  # -log(2 π)
    -1.8379
    """

    def __init__(
        self,
        loc: TensorLike,
        covariance_matrix: TensorLike | None = None,
        scale_tril: TensorLike | None = None,
    ) -> None:
        if (covariance_matrix is None) == (scale_tril is None):
            raise ValueError(
                "MultivariateNormal: expected exactly one of covariance_matrix and scale_tril."
            )
        mean = as_tensor(loc, floating=True)
        if scale_tril is None:
            assert covariance_matrix is not None
            factor = cholesky(covariance_matrix)
        else:
            factor = as_tensor(scale_tril, floating=True)
        if not mean.ndim or factor.ndim < 2 or factor.shape[-2:] != mean.shape[-1:] * 2:
            raise ShapeError(
                f"MultivariateNormal: loc has shape {mean.shape}, the matrix {factor.shape}; "
                "expected (…, n) and (…, n, n)."
            )
        n = mean.shape[-1]
        batch = np.broadcast_shapes(mean.shape[:-1], factor.shape[:-2])
        dtype = np.result_type(mean.dtype, factor.dtype)
        self.loc = broadcast_to(mean.astype(dtype), (*batch, n))
        self.scale_tril = broadcast_to(factor.astype(dtype), (*batch, n, n))
        super().__init__(batch, (n,))

    def rsample(self, shape: Shape = (), *, generator: np.random.Generator | None = None) -> Tensor:
        noise = drawn("standard_normal", self._shape(shape), self.loc.dtype, generator)
        return self.loc + matmul(self.scale_tril, expand_dims(noise, axis=-1))[..., 0]

    def _half_log_det(self) -> Tensor:
        return sum(log(diagonal(self.scale_tril)), axis=-1)

    def log_prob(self, value: TensorLike, /) -> Tensor:
        apart = expand_dims(as_tensor(value) - self.loc, axis=-1)
        z = solve_triangular(self.scale_tril, apart, upper=False)[..., 0]
        n = self.event_shape[0]
        return (
            sum(square(z), axis=-1) * -0.5 - self._half_log_det() - 0.5 * n * math.log(2 * math.pi)
        )

    def entropy(self) -> Tensor:
        return self._half_log_det() + 0.5 * self.event_shape[0] * (1.0 + math.log(2 * math.pi))

    @property
    def covariance_matrix(self) -> Tensor:
        """Shape batch_shape + (n, n)."""
        return matmul(self.scale_tril, matrix_transpose(self.scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return sum(square(self.scale_tril), axis=-1)
