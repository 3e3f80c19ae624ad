"""Activations as modules, for `Sequential` and recipes; see the functions of the same names."""

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops import activations, elementary, rectifiers, softmax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.relu(x)


class ReLU6(Module):
    """x limited to [0, 6]."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.relu6(x)


class SiLU(Module):
    """x · sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.silu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return elementary.tanh(x)


class SELU(Module):
    """The scaled `ELU` that keeps mean 0 and variance 1 through layers."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.selu(x)


class Mish(Module):
    """x · tanh(softplus(x))."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.mish(x)


class Hardsigmoid(Module):
    """(x + 3) / 6 limited to [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.hardsigmoid(x)


class Hardswish(Module):
    """x · hardsigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.hardswish(x)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.logsigmoid(x)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.softsign(x)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.tanhshrink(x)


class LeakyReLU(Module):
    """x where positive, negative_slope · x elsewhere.

    Parameters
    ----------
    negative_slope : float, default 0.01
        Slope below 0.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.negative_slope}"


class ELU(Module):
    """x where positive, alpha · (exp(x) - 1) elsewhere.

    Parameters
    ----------
    alpha : float, default 1.0
        The limit at minus infinity is -alpha.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.alpha}"


class CELU(Module):
    """x where positive, alpha · (exp(x / alpha) - 1) elsewhere.

    Parameters
    ----------
    alpha : float, default 1.0
        The limit at minus infinity is -alpha.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.alpha}"


class Hardshrink(Module):
    """x where |x| > lambd, 0 elsewhere.

    Parameters
    ----------
    lambd : float, default 0.5
        Half width of what becomes 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.lambd}"


class Softshrink(Module):
    """x moved toward 0 by lambd, and 0 where that would pass it.

    Parameters
    ----------
    lambd : float, default 0.5
        By how much.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.lambd}"


class GLU(Module):
    """The first half times the sigmoid of the second half, along an axis.

    Parameters
    ----------
    axis : int, default -1
        Axis to halve.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return activations.glu(x, self.axis)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.axis}"


class Softmax(Module):
    """Positive numbers of sum one along an axis.

    Parameters
    ----------
    axis : int, default -1
        Axis whose elements compete.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return softmax.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.axis}"


class Softmin(Module):
    """`Softmax` of -x.

    Parameters
    ----------
    axis : int, default -1
        Axis whose elements compete.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return activations.softmin(x, self.axis)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.axis}"


class LogSoftmax(Module):
    """Logarithm of `Softmax`.

    Parameters
    ----------
    axis : int, default -1
        Axis whose elements compete.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return softmax.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.axis}"


class GELU(Module):
    """x · Φ(x) with Φ the normal distribution function.

    Parameters
    ----------
    approximate : {"none", "tanh"}
        The exact form, or the formula with tanh that many published weights were trained with.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate = {approximate!r}; expected 'none' or 'tanh'.")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.gelu(x) if self.approximate == "none" else activations.gelu_tanh(x)


class Hardtanh(Module):
    """x limited to an interval.

    Parameters
    ----------
    min_val, max_val : float
        Its bounds, -1 and 1 by default.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.hardtanh(x, self.min_val, self.max_val)


class PReLU(Module):
    """x where positive, a trained slope · x elsewhere.

    Parameters
    ----------
    num_parameters : int, default 1
        1, or the number of channels for a slope for each.
    init : float, default 0.25
        The slopes at the beginning.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.weight = Parameter([init] * num_parameters)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape (batch, channel, …)."""
        return rectifiers.prelu(x, self.weight)


class RReLU(Module):
    """Leaky ReLU with random slopes while training, and their mean in a finished model.

    Parameters
    ----------
    lower, upper : float
        Bounds of the slopes, 1 / 8 and 1 / 3 by default.
    """

    def __init__(self, lower: float = 1.0 / 8.0, upper: float = 1.0 / 3.0) -> None:
        super().__init__()
        self.lower, self.upper = lower, upper

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.rrelu(x, self.lower, self.upper, training=self.training)


class Softplus(Module):
    """log(1 + exp(beta · x)) / beta; never overflows.

    Parameters
    ----------
    beta : float, default 1.0
        The larger, the nearer to ReLU.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return activations.softplus(x * self.beta) * (1.0 / self.beta)


class Threshold(Module):
    """x where it is larger than a threshold, a value elsewhere.

    Parameters
    ----------
    threshold : float
        What x must exceed.
    value : float
        What stands for the rest.
    """

    def __init__(self, threshold: float, value: float) -> None:
        super().__init__()
        self.threshold, self.value = threshold, value

    def forward(self, x: Tensor) -> Tensor:
        """Apply it elementwise."""
        return rectifiers.threshold(x, self.threshold, self.value)
