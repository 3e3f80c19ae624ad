"""Tests that authors of fields and plug-ins run on their own work."""

import inspect
import math
import re
import typing
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import recipe
from fieldgrad.engine.errors import FieldgradError, RecipeError
from fieldgrad.engine.field import Field, import_object
from fieldgrad.engine.train.groups import layer_groups
from fieldgrad.engine.train.learner import Learner

__all__ = ["check_field", "check_learner"]


def check_field(field: Field) -> None:
    """Test that a field keeps its contract with the engine.

    The name is one lower-case word and the summary one sentence. Every short name leads to a
    documented Python callable whose annotations can be read. Every recipe loads, belongs to the
    field, says in one line what it does, and checks against the signatures it names. The commands
    are a typer application.

    Parameters
    ----------
    field : Field
        The field to test.

    Raises
    ------
    RecipeError
        If anything is amiss; the message lists all of it.

    Examples
    --------
    >>> from fieldgrad.engine.field import Field
    >>> from fieldgrad.engine.testing import check_field
    >>> check_field(Field("astro", "Galaxies and their light curves."))
    >>> check_field(Field("astro", "Galaxies.", names={"root": "math:squirt"}))
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.RecipeError: the field 'astro' breaks its contract:
    - name root: math:squirt: the module math has no 'squirt'; did you mean 'sqrt'?
    """
    problems = []
    if not re.fullmatch(r"[a-z][a-z0-9]*", field.name):
        problems.append(f"the name {field.name!r} is not one lower-case word")
    if "\n" in field.summary or not field.summary.endswith("."):
        problems.append(f"the summary {field.summary!r} is not one sentence with a full stop")
    for short, path in field.names.items():
        problems += [f"name {short}: {problem}" for problem in _callable_problems(path, field)]
    for name in field.recipe_names():
        problems += [f"recipe {name}: {problem}" for problem in _recipe_problems(name, field)]
    problems += [f"commands: {problem}" for problem in _command_problems(field)]
    if problems:
        raise RecipeError(
            f"the field {field.name!r} breaks its contract:\n"
            + "\n".join(f"- {problem}" for problem in problems)
        )


def _callable_problems(path: str, field: Field) -> list[str]:
    try:
        target = import_object(path, extra=field.extra)
        typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (FieldgradError, NameError, TypeError) as error:
        return [str(error)]
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        return [f"{path} is neither a class nor a function"]
    if not inspect.getdoc(target):
        return [f"{path} has no docstring"]
    return []


def _recipe_problems(name: str, field: Field) -> list[str]:
    assert field.recipes is not None
    try:
        loaded = recipe.load(field.recipes / f"{name.partition('/')[2]}.toml")
        recipe.check(loaded)
    except FieldgradError as error:
        return [str(error)]
    problems = []
    if loaded.field.name != field.name:
        problems.append(f"it says field = {loaded.field.name!r}")
    if not loaded.summary or "\n" in loaded.summary:
        problems.append("it has no summary of one line")
    return problems


def _command_problems(field: Field) -> list[str]:
    if not field.commands:
        return []
    from typer import Typer

    try:
        commands = import_object(field.commands, extra=field.extra)
    except FieldgradError as error:
        return [str(error)]
    return [] if isinstance(commands, Typer) else [f"{field.commands} is no typer.Typer"]


def check_learner(make: Callable[[], Learner], n_steps: int = 20) -> None:
    """Test that every verb of training works on a field's learner.

    The search for a rate gives one and leaves everything as it was; one cycle at this rate lowers
    the loss, and again gives the same bits; a budget in time is kept; frozen layers stay as they
    are, and learn when they are no longer frozen.

    Parameters
    ----------
    make : callable
        Gives a new learner, each time the same, on a small problem.
    n_steps : int, default 20
        Steps of each of the three trainings.

    Raises
    ------
    RecipeError
        If anything is amiss; the message lists all of it.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> from fieldgrad.engine import data, nn, optim
    >>> from fieldgrad.engine.testing import check_learner
    >>> line = [(np.float32([x]), np.float32([3 * x + 1])) for x in range(4)]
    >>> def make():
    ...     fg.manual_seed(0)
    ...     model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
    ...     return Learner(model, lambda y, t: fg.mean((y - t) ** 2),
    ...                    optim.Adam(model.parameters()), data.Loader(line, batch_size=4))
    >>> check_learner(make)
    """
    problems = []
    learner = make()
    before = _weights(learner)
    start, rate = _loss(learner), learner.lr_find(n_steps=40).suggestion
    if not (math.isfinite(rate) and rate > 0):
        problems.append(f"lr_find suggests {rate}")
    if not _same(before, _weights(learner)):
        problems.append("lr_find changes the weights")
    learner.fit_one_cycle(f"{n_steps} steps", rate)
    end = _loss(learner)
    if not end < start:
        problems.append(f"one cycle at the rate {rate:.2g} takes the loss from {start} to {end}")
    again = make()
    again.fit_one_cycle(f"{n_steps} steps", rate)
    if not _same(_weights(learner), _weights(again)):
        problems.append("the same training ends at other weights")
    problems += _budget_problems(make()) + _freezing_problems(make(), n_steps)
    if problems:
        raise RecipeError("the learner breaks its contract:\n- " + "\n- ".join(problems))


def _budget_problems(learner: Learner) -> list[str]:
    """Train for 10 s of a clock that goes on by 20 ms whenever somebody looks at it."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.02
        return now

    learner.clock = clock
    learner.elapsed = 0.0
    learner.fit("10s")
    if not 5 < learner.elapsed <= 10:
        return [f"a budget of 10 s is used for {learner.elapsed:.2f} s"]
    return []


def _freezing_problems(learner: Learner, n_steps: int) -> list[str]:
    groups = layer_groups(learner.model)
    if len(groups) < 2:
        return ["the model has one layer group only; give it a method layer_groups()"]
    first = [p.data.copy() for p in groups[0]]
    problems = []
    learner.freeze()
    learner.fit(f"{n_steps} steps")
    if not _same(first, [p.data for p in groups[0]]):
        problems.append("frozen layers change")
    learner.unfreeze()
    learner.fit(f"{n_steps} steps")
    if _same(first, [p.data for p in groups[0]]):
        problems.append("layers that are no longer frozen do not learn")
    return problems


def _weights(learner: Learner) -> list[NDArray[typing.Any]]:
    return [p.data.copy() for p in learner.model.parameters()]


def _same(some: list[NDArray[typing.Any]], others: list[NDArray[typing.Any]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def _loss(learner: Learner) -> float:
    """Loss of the validation data, or else of the training data, with the weights as they are."""
    valid = learner.valid
    learner.valid = learner.train if valid is None else valid
    try:
        return learner.validate()["valid_loss"]
    finally:
        learner.valid = valid
