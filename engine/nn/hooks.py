"""What is called around a module's forward and backward passes."""

from collections.abc import Callable
from typing import Any

from fieldgrad.engine._core import REQUIRED, Op, Tensor
from fieldgrad.engine.autograd.recording import is_recording
from fieldgrad.engine.trees import flatten

__all__ = ["Hooks"]

Gradients = tuple[Tensor | None, ...]


# The same tensors, whose gradients are shown to a function on their way back.
_gate = Op(
    "hook",
    lambda arrays, notice: [array.view() for array in arrays],
    inputs=["arrays"],
    defaults={"notice": REQUIRED},
    variadic=True,
    several=True,
    view=True,
)


@_gate.vjp
def _(gs, notice):
    changed = notice(gs)
    return gs if changed is None else changed


def _gated(values: Any, notice: Callable[[Gradients], Any]) -> tuple[Any, bool]:
    """The same nested values with the recorded tensors among them going through one gate, if any.

    ``notice`` sees a gradient, or None, for each tensor, and gives others or None.
    """
    leaves, rebuild = flatten(values)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    wanted = [i for i in places if leaves[i].requires_grad]
    if not wanted or not is_recording():
        return values, False

    def of_wanted(gs: Gradients) -> Gradients | None:
        by_place = dict(zip(wanted, gs, strict=True))
        changed = notice(tuple(by_place.get(i) for i in places))
        if changed is None:
            return None
        changed = changed if isinstance(changed, tuple) else (changed,)
        return tuple(g for i, g in zip(places, changed, strict=True) if i in by_place)

    for i, x in zip(
        wanted, _gate.apply(tuple(leaves[i] for i in wanted), {"notice": of_wanted}), strict=True
    ):
        leaves[i] = x
    return rebuild(leaves), True


class Hooks:
    """Functions to call around the passes of one module; `Module` says which and how."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Callable[..., Any]]] = {}

    def __bool__(self) -> bool:
        return any(self._hooks.values())

    def add(self, when: str, hook: Callable[..., Any]) -> Callable[[], None]:
        """Keep a hook.

        Parameters
        ----------
        when : {"before", "after", "backward"}
            The moment.
        hook : callable
            To be called then.

        Returns
        -------
        callable
            Call it to remove the hook.
        """
        hooks = self._hooks.setdefault(when, [])
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a module's forward method with the hooks around it.

        Parameters
        ----------
        module : Module
            Whose hooks these are.
        args : tuple
            Its inputs.
        kwargs : dict
            Its inputs by name.

        Returns
        -------
        Any
            The output.
        """
        for hook in self._hooks.get("before", ()):
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        backward = tuple(self._hooks.get("backward", ()))
        of_output: list[Gradients] = [()]

        def inputs_done(gs: Gradients) -> Gradients:
            for hook in backward:
                changed = hook(module, gs, of_output[0])
                if changed is not None:
                    gs = changed if isinstance(changed, tuple) else (changed,)
            return gs

        recorded = False
        if backward:
            args, recorded = _gated(args, inputs_done)
        out = module.forward(*args, **kwargs)
        for hook in self._hooks.get("after", ()):
            changed = hook(module, args, out)
            out = out if changed is None else changed
        if backward:
            n_inputs = sum(isinstance(x, Tensor) for x in flatten(args)[0])

            def output_done(gs: Gradients) -> None:
                of_output[0] = gs
                if not recorded:
                    inputs_done((None,) * n_inputs)

            out, _ = _gated(out, output_done)
        return out
