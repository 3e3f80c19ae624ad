"""Module: a function with parameters, built from other modules by attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError, suggest
from fieldgrad.engine.nn.hooks import Hooks

__all__ = ["Module", "ModuleDict", "ModuleList", "Parameter", "Sequential"]


class Parameter(Tensor):
    """A tensor that training changes.

    Parameters
    ----------
    data : array_like
        Initial values; converted to float32 unless a float64 array is given.
    """

    def __init__(self, data: ArrayLike) -> None:
        double = getattr(data, "dtype", None) == np.float64  # lists of Python floats are not
        super().__init__(np.array(data, np.float64 if double else np.float32), requires_grad=True)


class Module:
    """Base of layers and models.

    Assign parameters, buffers (arrays that are saved but not trained, through `register_buffer`)
    and other modules as attributes in ``__init__``, after ``super().__init__()``; say what is
    computed in ``forward``. Everything else here walks those attributes in the order of their
    assignment.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> class Scale(fg.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = fg.nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(fg.tensor([1.0, 3.0])).tolist()
    [2.0, 6.0]

    Printed, a module shows what is inside it, how many parameters, and their shapes:

    >>> fg.nn.Sequential(fg.nn.Linear(2, 3), fg.nn.ReLU())
    Sequential(  # 9 parameters
      (0): Linear(2 -> 3)  # 9 parameters: weight (3, 2), bias (3,)
      (1): ReLU()
    )
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._buffers: set[str] = set()
        self._hooks = Hooks()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module says how.

        Parameters
        ----------
        *args : Tensor
            Inputs of the module.
        **kwargs : Any
            Options, if it has any.

        Returns
        -------
        Tensor
            Output of the module; several in a tuple or list.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._hooks:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    def register_forward_hook(
        self, hook: Callable[[Module, tuple[Any, ...], Any], Any]
    ) -> Callable[[], None]:
        """Call ``hook(module, inputs, output)`` after each forward pass.

        Parameters
        ----------
        hook : callable
            What it returns, if not None, replaces the output.

        Returns
        -------
        callable
            Call it to remove the hook.
        """
        return self._hooks.add("after", hook)

    def register_forward_pre_hook(
        self, hook: Callable[[Module, tuple[Any, ...]], Any]
    ) -> Callable[[], None]:
        """Call ``hook(module, inputs)`` before each forward pass.

        Parameters
        ----------
        hook : callable
            What it returns, if not None, replaces the inputs: a tuple, or the one input.

        Returns
        -------
        callable
            Call it to remove the hook.
        """
        return self._hooks.add("before", hook)

    def register_full_backward_hook(
        self, hook: Callable[[Module, tuple[Any, ...], tuple[Any, ...]], Any]
    ) -> Callable[[], None]:
        """Call ``hook(module, input_gradients, output_gradients)`` in each backward pass.

        Parameters
        ----------
        hook : callable
            Gets a gradient, or None, for each tensor among the positional inputs and in the output.
            What it returns, if not None, replaces the gradients of the inputs: a tuple of as many.

        Returns
        -------
        callable
            Call it to remove the hook.

        Notes
        -----
        It is called once the gradients of the inputs are there; if no input wants one, once those
        of the output are, with None for every input.
        """
        return self._hooks.add("backward", hook)

    def register_buffer(self, name: str, values: ArrayLike) -> None:
        """Keep an array as an attribute that is saved with the parameters but not trained.

        Parameters
        ----------
        name : str
            Name of the attribute.
        values : array_like
            Initial values; a copy is kept, in their dtype.
        """
        setattr(self, name, np.array(values))
        self._buffers.add(name)

    # ------------------------------------------------------------------ walking the tree
    def children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules with their attribute names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names.

        Parameters
        ----------
        prefix : str, default ""
            Name of this module, before the names of those below.
        """
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Each parameter once, with its dotted name."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def parameters(self) -> list[Parameter]:
        """Each parameter once.

        Returns
        -------
        list of Parameter
            In the order of `named_parameters`.
        """
        return [p for _, p in self.named_parameters()]

    def n_parameters(self) -> int:
        """Number of trained weights.

        Returns
        -------
        int
            Elements of all parameters, each parameter counted once.
        """
        return sum(p.size for p in self.parameters())

    # ------------------------------------------------------------------ state
    def train(self, mode: bool = True) -> Module:
        """Switch training behavior (dropout, batch statistics) on, here and in all below.

        Parameters
        ----------
        mode : bool, default True
            False switches it off.

        Returns
        -------
        Module
            This module.
        """
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to the behavior of a finished model, here and in all below.

        Returns
        -------
        Module
            This module.
        """
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of parameters and buffers by dotted name.

        Returns
        -------
        dict of str to ndarray
            For `load_state_dict` or `fieldgrad.engine.checkpoint.save`.
        """
        return {name: np.array(value) for name, value in self._state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over parameters and buffers.

        Parameters
        ----------
        state : dict of str to ndarray
            As from `state_dict`: the same names and shapes.

        Raises
        ------
        KeyError
            If names are missing or unknown.
        ShapeError
            If an array has another shape; nothing is changed then.
        """
        own = dict(self._state())
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            hint = suggest(unknown[0], own) if unknown else ""
            raise KeyError(
                f"load_state_dict: {type(self).__name__} misses {missing[:3]} and does not know "
                f"{unknown[:3]}{hint} ({len(missing)} and {len(unknown)} names). Build the model "
                "with the settings that the state was saved with."
            )
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise ShapeError(
                    f"load_state_dict: {name} has shape {state[name].shape} in the state, but "
                    f"{value.shape} in {type(self).__name__}. Build the model with the same "
                    "settings."
                )
        for name, value in own.items():
            if isinstance(value, Parameter):
                value.assign(state[name])
            else:
                value[...] = state[name]

    def _state(self) -> Iterator[tuple[str, Any]]:
        yield from self.named_parameters()
        for prefix, module in self.named_modules():
            for name in sorted(module._buffers):
                yield f"{prefix}.{name}" if prefix else name, getattr(module, name)

    def __repr__(self) -> str:
        name, inside = type(self).__name__, self.extra_repr()
        count = self.n_parameters()
        own = [(key, p.shape) for key, p in vars(self).items() if isinstance(p, Parameter)]
        shapes = ", ".join(f"{key} {shape}" for key, shape in own)
        said = f"  # {count:,} parameter{'s' * (count != 1)}" if count else ""
        said += f": {shapes}" if shapes else ""
        lines = [
            f"  ({key}): " + repr(child).replace("\n", "\n  ") for key, child in self.children()
        ]
        if not lines:
            return f"{name}({inside}){said}"
        return f"{name}({inside}{said}\n" + "\n".join(lines) + "\n)"

    def extra_repr(self) -> str:
        """Settings to show in the printed module.

        Returns
        -------
        str
            One line; nothing by default.
        """
        return ""


class ModuleList(Module):
    """A list of modules, to be indexed and iterated by the module that holds it.

    Parameters
    ----------
    modules : iterable of Module
        Kept in order.
    """

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def append(self, module: Module) -> None:
        """Add a module at the end.

        Parameters
        ----------
        module : Module
            Its name is its position.
        """
        setattr(self, str(len(self)), module)

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class ModuleDict(Module):
    """Modules by name, for the module that holds it.

    Parameters
    ----------
    modules : mapping of str to Module
        Kept in order.
    """

    def __init__(self, modules: Mapping[str, Module]) -> None:
        super().__init__()
        for name, module in modules.items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module) or not name or "." in name or hasattr(Module, name):
            raise KeyError(
                f"ModuleDict: {name!r} names a {type(module).__name__}; expected a Module under a "
                "name without dots that is no method of Module."
            )
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        found = dict(self.children())
        if name not in found:
            raise KeyError(
                f"ModuleDict: no module {name!r}{suggest(name, found)}. Names: {', '.join(found)}."
            )
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())


class Sequential(ModuleList):
    """Modules called one after the other.

    Parameters
    ----------
    *modules : Module
        In the order of the data.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """Pass x through every module."""
        for _, module in self.children():
            x = module(x)
        return x
