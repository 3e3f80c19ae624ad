"""Schedules: pure functions of the progress of a run, from 0 at its first step to 1 at its end.

Each gives the factor by which the optimizer's learning rate is multiplied; options go in with
``functools.partial``, as in ``partial(poly, power=0.5)``.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from fieldgrad.engine.errors import RecipeError

__all__ = [
    "Schedule",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "one_cycle",
    "one_cycle_momentum",
    "poly",
    "stairs",
    "warmup",
]

Schedule: TypeAlias = Callable[[float], float]


def constant(progress: float) -> float:
    """Keep the rate as it is.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].

    Returns
    -------
    float
        Always 1.
    """
    return 1.0


def poly(progress: float, power: float = 0.9) -> float:
    """Fall as a power of what is left of the run, to 0.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    power : float, default 0.9
        1 falls linearly, less falls late.

    Returns
    -------
    float
        ``(1 - progress) ** power``.

    References
    ----------
    Chen et al., "DeepLab", IEEE TPAMI 40 (2018) 834, arXiv:1606.00915, section 4.1; the schedule
    of nnU-Net (Isensee et al., Nature Methods 18 (2021) 203).

    Examples
    --------
    >>> poly(0.0), round(poly(0.5), 3), poly(1.0)
    (1.0, 0.536, 0.0)
    """
    return (1.0 - progress) ** power


def cosine(progress: float, final: float = 0.0) -> float:
    """Fall along half a cosine wave.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    final : float, default 0
        Factor at the end.

    Returns
    -------
    float
        ``final + (1 - final) * (1 + cos(pi * progress)) / 2``.

    References
    ----------
    Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    arXiv:1608.03983, eq. 5, without restarts.

    Examples
    --------
    >>> cosine(0.0), cosine(0.5), cosine(1.0, final=0.1)
    (1.0, 0.5, 0.1)
    """
    return _between(1.0, final, progress)


def cosine_restarts(
    progress: float, cycles: int = 3, growth: float = 2.0, final: float = 0.0
) -> float:
    """Fall along half a cosine wave again and again.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    cycles : int, default 3
        Number of falls.
    growth : float, default 2
        By how much longer each is than the one before.
    final : float, default 0
        Factor at the end of each.

    Returns
    -------
    float
        The factor, 1 at the beginning of each fall.

    References
    ----------
    Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    arXiv:1608.03983, eq. 5 and section 3.

    Examples
    --------
    >>> cosine_restarts(0.0, cycles=2, growth=1.0), cosine_restarts(0.5, cycles=2, growth=1.0)
    (1.0, 1.0)
    >>> cosine_restarts(0.25, cycles=2, growth=1.0), cosine_restarts(1.0, cycles=2, growth=1.0)
    (0.5, 0.0)
    """
    if cycles < 1 or growth <= 0:
        raise RecipeError(
            f"cosine_restarts: cycles is {cycles}, growth is {growth}; expected cycles >= 1 and "
            "growth > 0."
        )
    lengths = [growth**i for i in range(cycles)]
    left = progress * math.fsum(lengths)
    for length in lengths[:-1]:
        if left < length:
            return cosine(left / length, final)
        left -= length
    return cosine(min(left / lengths[-1], 1.0), final)


def exponential(progress: float, final: float = 0.01) -> float:
    """Fall by equal factors in equal times.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    final : float, default 0.01
        Factor at the end, positive.

    Returns
    -------
    float
        ``final ** progress``.

    Examples
    --------
    >>> exponential(0.0), round(exponential(0.5), 6), exponential(1.0)
    (1.0, 0.1, 0.01)
    """
    return final**progress


def stairs(progress: float, at: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> float:
    """Fall by a factor at given times.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    at : sequence of float, default (0.5, 0.75)
        When to fall.
    factor : float, default 0.1
        By what.

    Returns
    -------
    float
        ``factor`` to the power of how many of these times are reached.

    Examples
    --------
    >>> stairs(0.4), stairs(0.5)
    (1.0, 0.1)
    """
    return float(factor ** sum(progress >= time for time in at))


def one_cycle(
    progress: float, warmup: float = 0.25, start: float = 0.04, final: float = 1e-5
) -> float:
    """Rise to the full rate and fall far below where it began, both along cosines.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    warmup : float, default 0.25
        Part of the run that rises, in (0, 1).
    start, final : float, default 0.04 and 1e-5
        Factor at the beginning and at the end.

    Returns
    -------
    float
        The factor, 1 at ``progress == warmup``.

    Notes
    -----
    Goes with `one_cycle_momentum`. Cosines in place of the paper's straight lines, and the
    defaults, follow fastai.

    References
    ----------
    Smith, Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018, arXiv:1708.07120.

    Examples
    --------
    >>> [round(one_cycle(t), 5) for t in (0.0, 0.25, 1.0)]
    [0.04, 1.0, 1e-05]
    """
    return _cycle(progress, warmup, start, 1.0, final)


def one_cycle_momentum(
    progress: float, warmup: float = 0.25, high: float = 0.95, low: float = 0.85
) -> float:
    """Fall and rise again, opposite to `one_cycle`.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    warmup : float, default 0.25
        Part of the run in which the momentum falls, in (0, 1).
    high, low : float, default 0.95 and 0.85
        Momentum at both ends, and where the learning rate is highest.

    Returns
    -------
    float
        The momentum itself, not a factor.

    References
    ----------
    Smith, "A disciplined approach to neural network hyper-parameters: part 1", 2018,
    arXiv:1803.09820, section 4.3.

    Examples
    --------
    >>> [round(one_cycle_momentum(t), 2) for t in (0.0, 0.25, 1.0)]
    [0.95, 0.85, 0.95]
    """
    return _cycle(progress, warmup, high, low, high)


def warmup(
    progress: float, schedule: Schedule, fraction: float = 0.05, start: float = 0.0
) -> float:
    """Rise linearly, then follow another schedule over the rest of the run.

    Parameters
    ----------
    progress : float
        Part of the run that is done, in [0, 1].
    schedule : callable
        What follows; its own progress runs from 0 to 1 after the rise.
    fraction : float, default 0.05
        Part of the run that rises, in [0, 1).
    start : float, default 0
        Part of the first value of `schedule` from which to rise.

    Returns
    -------
    float
        The factor.

    References
    ----------
    Goyal et al., "Accurate, large minibatch SGD", 2017, arXiv:1706.02677, section 2.2.

    Examples
    --------
    >>> warmup(0.05, poly, fraction=0.1), warmup(0.1, poly, fraction=0.1)
    (0.5, 1.0)
    """
    if not 0 <= fraction < 1:
        raise RecipeError(f"warmup: fraction is {fraction}; expected 0 <= fraction < 1.")
    if progress < fraction:
        return (start + (1 - start) * progress / fraction) * schedule(0.0)
    return schedule((progress - fraction) / (1 - fraction))


def _between(a: float, b: float, t: float) -> float:
    """Go from a to b along half a cosine wave while t goes from 0 to 1."""
    return b + (a - b) * (1.0 + math.cos(math.pi * t)) / 2.0


def _cycle(progress: float, turn: float, first: float, middle: float, last: float) -> float:
    if not 0 < turn < 1:
        raise RecipeError(f"one_cycle: warmup is {turn}; expected 0 < warmup < 1.")
    if progress < turn:
        return _between(first, middle, progress / turn)
    return _between(middle, last, (progress - turn) / (1 - turn))
