"""Tensors in nested tuples, lists and dictionaries: taking them out and putting others in."""

from collections.abc import Callable
from typing import Any

__all__ = ["flatten", "tree_map"]


def flatten(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Take the leaves out of a nested container.

    Parameters
    ----------
    tree : tuple, list, dict or anything else
        Containers are taken apart, anything else is a leaf.

    Returns
    -------
    leaves : list
        In order; values of a dictionary in the order of its keys' insertion.
    rebuild : callable
        A list of as many leaves to the same containers around them.

    Examples
    --------
    >>> from fieldgrad.engine.trees import flatten
    >>> leaves, rebuild = flatten({"a": (1, 2), "b": [3]})
    >>> rebuild([10 * leaf for leaf in leaves])
    {'a': (10, 20), 'b': [30]}
    """
    leaves: list[Any] = []

    def number(leaf: Any) -> int:
        leaves.append(leaf)
        return len(leaves) - 1

    numbers = tree_map(number, tree)
    return leaves, lambda new: tree_map(new.__getitem__, numbers)


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to every leaf of a nested container.

    Parameters
    ----------
    function : callable
        Leaf to leaf.
    tree : tuple, list, dict or anything else
        Containers are kept, anything else is a leaf.

    Returns
    -------
    Any
        The same containers with other leaves.
    """
    if isinstance(tree, dict):
        return {key: tree_map(function, value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(tree_map(function, value) for value in tree)
    return function(tree)
