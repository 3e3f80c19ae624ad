"""Layer groups: parts of a model, from its input to its output, that are trained differently."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import Optimizer

__all__ = ["Group", "freeze", "layer_groups", "set_rates"]

Group: TypeAlias = list[Parameter]


def layer_groups(model: Module) -> list[Group]:
    """Divide a model's parameters into groups, in the order of its layers.

    Parameters
    ----------
    model : Module
        A model. If it has a method ``layer_groups()``, that gives the groups; otherwise each direct
        submodule with parameters is one, in the order of their assignment, and the model's own
        parameters belong to the last. A model that only wraps another has the groups of that.

    Returns
    -------
    list of list of Parameter
        At least one group; each parameter in one of them.

    Examples
    --------
    >>> from fieldgrad.engine import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [[p.shape for p in group] for group in layer_groups(model)]
    [[(3, 2), (3,)], [(1, 3), (1,)]]
    """
    if hasattr(model, "layer_groups"):
        return [list(group) for group in model.layer_groups()]
    inner = [child for _, child in model.children() if list(child.parameters())]
    if len(inner) == 1 and len(list(inner[0].parameters())) == len(list(model.parameters())):
        return layer_groups(inner[0])
    seen: set[int] = set()
    groups: list[Group] = []
    for _, child in model.children():
        group = [p for p in child.parameters() if id(p) not in seen]
        seen |= {id(p) for p in group}
        if group:
            groups.append(group)
    rest = [p for p in model.parameters() if id(p) not in seen]
    if not groups:
        return [rest]
    groups[-1] += rest
    return groups


def freeze(groups: Sequence[Group], n_frozen: int | None = None) -> int:
    """Let the first groups keep their weights, and train the others.

    Parameters
    ----------
    groups : sequence of list of Parameter
        As from `layer_groups`.
    n_frozen : int, optional
        How many groups; all but the last by default.

    Returns
    -------
    int
        How many are frozen.

    Raises
    ------
    RecipeError
        If there are not so many groups, or none would be left to train.
    """
    n_frozen = len(groups) - 1 if n_frozen is None else int(n_frozen)
    if not 0 <= n_frozen < len(groups):
        raise RecipeError(
            f"freeze: {n_frozen} of the model's {len(groups)} layer groups; expected 0 to "
            f"{len(groups) - 1}. Give the model a method layer_groups() to divide it otherwise."
        )
    for k, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad = k >= n_frozen
            parameter.grad = None
    return n_frozen


def set_rates(optimizer: Optimizer, groups: Sequence[Group], lr: float | Sequence[float]) -> None:
    """Set one learning rate for all groups, or rates that rise in equal ratios to the last group.

    Parameters
    ----------
    optimizer : Optimizer
        Of these parameters; its ``lr`` becomes the rate of the last group.
    groups : sequence of list of Parameter
        As from `layer_groups`.
    lr : float or pair of float
        One rate, or those of the first and the last group.

    Raises
    ------
    RecipeError
        If a rate is not positive, or the sequence has not two of them.

    References
    ----------
    Howard, Ruder, "Universal language model fine-tuning for text classification", ACL 2018,
    arXiv:1801.06146, section 3.2 (discriminative fine-tuning).

    Examples
    --------
    >>> from fieldgrad.engine import nn, optim
    >>> model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1))
    >>> optimizer = optim.SGD(model.parameters(), lr=1.0)
    >>> set_rates(optimizer, layer_groups(model), (0.01, 1.0))
    >>> optimizer.lr, [round(ratio, 3) for ratio in optimizer.lr_ratios[::2]]
    (1.0, [0.01, 0.1, 1.0])
    """
    rates = [float(lr)] if isinstance(lr, float | int) else [float(rate) for rate in lr]
    if len(rates) not in (1, 2) or not all(rate > 0 for rate in rates):
        raise RecipeError(f"lr is {lr}; expected a positive number, or a pair (first, last group).")
    optimizer.lr = rates[-1]
    if len(rates) == 2:
        spread = np.geomspace(rates[0] / rates[1], 1.0, len(groups)) if len(groups) > 1 else [1.0]
        ratio = {id(p): float(r) for r, group in zip(spread, groups, strict=True) for p in group}
        optimizer.lr_ratios = [ratio.get(id(p), 1.0) for p in optimizer.params]
