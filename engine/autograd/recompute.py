"""Less memory for more time: compute a part of the forward pass anew when its gradients are due."""

from collections.abc import Callable
from typing import Any

from fieldgrad.engine._core import Node, Op, Tensor
from fieldgrad.engine.autograd.recording import enable_grad, is_recording
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.ops import random
from fieldgrad.engine.transforms import Transform, active, entered, observers, replaced

__all__ = ["recompute"]


class _Observer(Transform):
    """Sees the nodes that op calls put on the tape, in their order."""

    observes = True

    def call(self, op: Op, inputs: tuple[Tensor | None, ...], attributes: dict[str, Any]) -> Any:
        out = op.apply(inputs, attributes)
        first = out[0] if op.several and out else out
        if isinstance(first, Tensor) and first.node is not None:
            self.see(first.node.source or first.node)
        return out

    def see(self, node: Node) -> None:
        """Take notice of a node."""


class _Again(_Observer):
    """Collects the nodes of a second pass."""

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []

    def see(self, node: Node) -> None:
        self.nodes.append(node)


class _Region(_Observer):
    """A call whose nodes keep nothing, and which can be made again."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.mappings = tuple(t for t in active() if not t.observes)
        self.random_state = random.get_state()
        self.nodes: list[Node] = []
        self.numbers: dict[int, int] = {}  # a node's place in the tape, and in this region
        self.again: list[Node | None] = []

    def see(self, node: Node) -> None:
        self.nodes.append(node)

    def forget(self) -> None:
        """Let the nodes drop what they keep, and this region the nodes."""
        for number, node in enumerate(self.nodes):
            self.numbers[node.sequence] = number
            node.forget(self.recorded_again)
        self.nodes.clear()

    def recorded_again(self, node: Node) -> Node:
        """The node of the same call, from a second pass that serves all nodes of the region."""
        number = self.numbers[node.sequence]
        if number >= len(self.again) or self.again[number] is None:
            self.again = self.second_pass()
        same_number = len(self.again) == len(self.numbers)
        found = self.again[number] if same_number else None
        if found is None or found.op is not node.op:
            raise GradientError(
                f"recompute: the function recorded {len(self.numbers)} ops when it was called and "
                f"{len(self.again)} when it was called again, or others. It must do the same every "
                "time: take random numbers from the engine's generator, and keep no state."
            )
        self.again[number] = None
        return found

    def second_pass(self) -> list[Node | None]:
        """Call the function once more, with the same random numbers, inside the same vmaps."""
        collected = _Again()
        now = random.get_state()
        random.set_state(self.random_state)
        try:
            with replaced((*observers(), collected, *self.mappings)), enable_grad():
                self.function(*self.args, **self.kwargs)
        finally:
            random.set_state(now)
        return collected.nodes


def recompute(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function without keeping what its gradient needs; compute that anew when it is due.

    Memory for a recorded pass grows with the number of ops. A model whose blocks are called through
    this function keeps the blocks' inputs only, and one block's values at a time in the backward
    pass, for one more forward pass (known as gradient checkpointing).

    Parameters
    ----------
    function : callable
        Anything made of ops, also a `nn.Module`. Called again in the backward pass, it must do the
        same: random numbers from the engine's generator repeat by themselves.
    *args : Any
        Its arguments.
    **kwargs : Any
        Its arguments by name.

    Returns
    -------
    Any
        What the function returns. Gradients go to the arguments and to whatever else the function
        uses, to any order, and are the same to the last bit.

    Raises
    ------
    GradientError
        In the backward pass, if the function does something else when it is called again, or if a
        tensor that it uses was changed in place meanwhile.

    References
    ----------
    Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016,
    arXiv:1604.06174.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> x = fg.tensor([0.5], requires_grad=True)
    >>> y = fg.recompute(lambda x: fg.exp(fg.sin(x)) * x, x)
    >>> y.backward()
    """
    if not is_recording():
        return function(*args, **kwargs)
    region = _Region(function, args, kwargs)
    with entered(region):
        out = function(*args, **kwargs)
    region.forget()
    return out
