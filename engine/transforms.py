"""What may stand between an op call and its kernel: mapping over a batch, recomputation, profiling.

While a thread has transforms, every op call of it goes to the innermost one, which passes it on
with ``op.apply`` to the next one out, and so on; the kernel comes last. A thread without transforms
does not notice any of this.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from fieldgrad.engine._core import Op, Tensor, install_transforms, set_transforms

__all__ = ["Transform", "active", "entered", "observers", "replaced"]


class Transform:
    """Something that sees the op calls of a thread before their kernels do."""

    observes = False
    """Whether it only watches what is computed: such a transform is the last to see a call."""

    def call(self, op: Op, inputs: tuple[Tensor | None, ...], attributes: dict[str, Any]) -> Any:
        """Compute an op, in the simplest case by passing it on.

        Parameters
        ----------
        op : Op
            What is called.
        inputs : tuple of Tensor or None
            Its tensors, of the dtypes it wants.
        attributes : dict
            All of its attributes.

        Returns
        -------
        Tensor or tuple of Tensor
            As the op gives.
        """
        return op.apply(inputs, attributes)

    def rule(self, op: Op, entering: bool) -> None:
        """Take notice that a backward pass enters or leaves an op's gradient rule.

        Parameters
        ----------
        op : Op
            Whose rule.
        entering : bool
            False when it is left.
        """


class _State(threading.local):
    """The transforms of one thread, from the outermost to the innermost."""

    stack: Sequence[Transform] = ()


_state = _State()


def _call(op: Op, inputs: tuple[Tensor | None, ...], attributes: dict[str, Any]) -> Any:
    depth = set_transforms(0)
    set_transforms(depth - 1)
    try:
        return _state.stack[depth - 1].call(op, inputs, attributes)
    finally:
        set_transforms(depth)


def _rule(op: Op, entering: bool) -> None:
    for transform in active():
        transform.rule(op, entering)


install_transforms(_call, _rule)


def active() -> Sequence[Transform]:
    """Transforms that see the op calls made here.

    Returns
    -------
    sequence of Transform
        From the outermost to the innermost.
    """
    depth = set_transforms(0)
    set_transforms(depth)
    return _state.stack[:depth]


@contextlib.contextmanager
def replaced(stack: Sequence[Transform]) -> Iterator[None]:
    """Let these transforms see the op calls of the block, and no others.

    Parameters
    ----------
    stack : sequence of Transform
        From the outermost to the innermost.
    """
    before, _state.stack = _state.stack, stack
    depth = set_transforms(len(stack))
    try:
        yield
    finally:
        _state.stack = before
        set_transforms(depth)


@contextlib.contextmanager
def entered(transform: Transform) -> Iterator[None]:
    """Let one more transform see the op calls of the block.

    Parameters
    ----------
    transform : Transform
        The innermost, or the outermost if it only observes.
    """
    stack = active()
    with replaced((transform, *stack) if transform.observes else (*stack, transform)):
        yield


def observers() -> Sequence[Transform]:
    """Active transforms that only observe.

    Returns
    -------
    sequence of Transform
        From the outermost on.
    """
    return tuple(transform for transform in active() if transform.observes)
