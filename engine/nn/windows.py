"""Layers without parameters that look through windows: pooling, resizing, columns."""

from collections.abc import Sequence

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops import fold, pool, resample
from fieldgrad.engine.shapes import PerAxis

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AvgPool",
    "Fold",
    "LPPool",
    "MaxPool",
    "PixelShuffle",
    "PixelUnshuffle",
    "Unfold",
    "Upsample",
]


class MaxPool(Module):
    """Maxima of windows; see `fieldgrad.engine.max_pool`.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Size of a window.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        By how much windows may reach beyond both ends of an axis.
    dilation : int or sequence of int, default 1
        Step between the elements of a window.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the padding.
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, smaller spatial…)."""
        return pool.max_pool(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.kernel_size}, stride {self.stride or self.kernel_size}"


class AvgPool(Module):
    """Means of windows; see `fieldgrad.engine.avg_pool`.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Size of a window.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    padding : int or sequence of int, default 0
        Zeros added on both sides of an axis.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the padding.
    count_include_pad : bool, default True
        Whether these zeros count in the mean.
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, smaller spatial…)."""
        return resample.avg_pool(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.kernel_size}, stride {self.stride or self.kernel_size}"


class LPPool(Module):
    """Norms of windows; see `fieldgrad.engine.lp_pool`.

    Parameters
    ----------
    p : float
        Exponent of the norm.
    kernel_size : int or sequence of int
        Size of a window.
    stride : int or sequence of int, optional
        Step between windows; default kernel_size.
    ceil_mode : bool, default False
        Whether a last window may reach beyond the end.
    """

    def __init__(
        self,
        p: float,
        kernel_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.p, self.kernel_size, self.stride, self.ceil_mode = p, kernel_size, stride, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, smaller spatial…)."""
        return resample.lp_pool(
            x, self.p, self.kernel_size, stride=self.stride, ceil_mode=self.ceil_mode
        )


class AdaptiveAvgPool(Module):
    """Means of as many windows as wanted; see `fieldgrad.engine.adaptive_avg_pool`.

    Parameters
    ----------
    size : int or sequence of int
        Number of windows along each spatial axis; None keeps an axis.
    """

    def __init__(self, size: int | Sequence[int | None]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, size…)."""
        return resample.adaptive_avg_pool(x, self.size)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.size}"


class AdaptiveMaxPool(Module):
    """Maxima of as many windows as wanted; see `fieldgrad.engine.adaptive_max_pool`.

    Parameters
    ----------
    size : int or sequence of int
        Number of windows along each spatial axis; None keeps an axis.
    """

    def __init__(self, size: int | Sequence[int | None]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, size…)."""
        return pool.adaptive_max_pool(x, self.size)

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.size}"


class Upsample(Module):
    """Resize every spatial axis; see `fieldgrad.engine.interpolate`.

    Parameters
    ----------
    scale_factor : float or sequence of float, optional
        Factor of enlargement; one number, or one for each spatial axis.
    size : int or sequence of int, optional
        New sizes; give either this or scale_factor.
    mode : {"nearest", "nearest-exact", "linear", "cubic", "area"}
        How to interpolate.
    align_corners : bool, default False
        Whether the centers of the corner elements stay in place ("linear" and "cubic" only).
    """

    def __init__(
        self,
        scale_factor: float | Sequence[float] | None = None,
        *,
        size: int | Sequence[int] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.scale_factor, self.size = scale_factor, size
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels, other spatial…)."""
        return resample.interpolate(
            x,
            size=self.size,
            scale_factor=self.scale_factor,
            mode=self.mode,
            align_corners=self.align_corners,
        )

    def extra_repr(self) -> str:
        """Settings."""
        return f"{self.scale_factor or self.size}, {self.mode}"


class PixelShuffle(Module):
    """Blocks of channels become blocks of pixels; see `fieldgrad.engine.pixel_shuffle`.

    Parameters
    ----------
    upscale_factor : int
        Factor of both axes.
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, channels · r², row, column) to (…, channels, row · r, column · r)."""
        return fold.pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Module):
    """Blocks of pixels become blocks of channels; see `fieldgrad.engine.pixel_unshuffle`.

    Parameters
    ----------
    downscale_factor : int
        Factor of both axes.
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, channels, row · r, column · r) to (…, channels · r², row, column)."""
        return fold.pixel_unshuffle(x, self.downscale_factor)


class Unfold(Module):
    """Windows as columns; see `fieldgrad.engine.unfold`.

    Parameters
    ----------
    kernel_size : int or sequence of int
        Elements of a window.
    dilation, padding, stride : int or sequence of int
        As for the function; 1, 0 and 1 by default.
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        *,
        dilation: PerAxis = 1,
        padding: PerAxis = 0,
        stride: PerAxis = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, spatial…) to (batch, channels · elements, windows)."""
        return fold.unfold(
            x,
            self.kernel_size,
            dilation=self.dilation,
            padding=self.padding,
            stride=self.stride,
        )


class Fold(Module):
    """Sum of columns where their windows lie; see `fieldgrad.engine.fold`.

    Parameters
    ----------
    output_size : int or sequence of int
        Spatial sizes of the result.
    kernel_size : int or sequence of int
        Elements of a window.
    dilation, padding, stride : int or sequence of int
        As for the function; 1, 0 and 1 by default.
    """

    def __init__(
        self,
        output_size: PerAxis,
        kernel_size: PerAxis,
        *,
        dilation: PerAxis = 1,
        padding: PerAxis = 0,
        stride: PerAxis = 1,
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels · elements, windows) to (batch, channels, spatial…)."""
        return fold.fold(
            x,
            self.output_size,
            self.kernel_size,
            dilation=self.dilation,
            padding=self.padding,
            stride=self.stride,
        )
