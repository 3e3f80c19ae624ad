"""Switches of the engine that apply to everything computed afterwards."""

from fieldgrad.engine.bindings import nn_kernels
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
        return nn_kernels.get_conv_method()

    @conv.setter
    def conv(self, name: str) -> None:
        if name not in nn_kernels.CONV_METHODS:
            choices = ", ".join(nn_kernels.CONV_METHODS)
            hint = suggest(name, nn_kernels.CONV_METHODS) or ";"
            raise RecipeError(f"config.conv = {name!r}{hint} Choices: {choices}.")
        nn_kernels.set_conv_method(name)


config = Config()
