"""Switches of the engine that apply to everything computed afterwards."""

from fieldgrad.engine import _nn_kernels
from fieldgrad.engine.errors import RecipeError, suggest

__all__ = ["Config", "config"]


class Config:
    """Settings of the running program; change the attributes of ``fg.config``.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.config.conv
    'auto'
    """

    @property
    def conv(self) -> str:
        """Method of float32 convolutions.

        "direct" sums products; "winograd" saves multiplications where it can (3 taps, stride 1);
        "auto" takes whichever should be faster.
        """
        return _nn_kernels.get_conv_method()

    @conv.setter
    def conv(self, name: str) -> None:
        if name not in _nn_kernels.CONV_METHODS:
            choices = ", ".join(_nn_kernels.CONV_METHODS)
            hint = suggest(name, _nn_kernels.CONV_METHODS) or ";"
            raise RecipeError(f"config.conv = {name!r}{hint} Choices: {choices}.")
        _nn_kernels.set_conv_method(name)


config = Config()
