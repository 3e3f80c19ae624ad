"""Three lines to a trained network: a learner for jets in files or in memory.

>>> from fieldgrad.physics.tagging.learners import tagger
>>> learner = tagger("train_*.h5", model="particle_net_lite")  # doctest: +SKIP
>>> learner.fit_one_cycle("10min", 3e-3)  # doctest: +SKIP
>>> learner.save("top.safetensors")  # doctest: +SKIP

The file is for ``Tagger.load`` and ``fieldgrad physics predict``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fieldgrad.engine import Tensor
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train.learner import Learner
from fieldgrad.physics.tagging.data import MEMORY_GB, JetData, note_data, open_jets
from fieldgrad.physics.tagging.model import JetModel
from fieldgrad.physics.tagging.network import as_described
from fieldgrad.physics.tagging.regressor import Regressor
from fieldgrad.physics.tagging.tagger import Tagger

__all__ = ["regressor", "tagger"]

PathLike = str | os.PathLike[str]


def tagger(
    data: Any,
    *,
    valid: Any = "",
    model: str | Callable[..., Module] = "particle_net_lite",
    config: PathLike = "",
    observables: Sequence[str] = (),
    loss: Callable[..., Tensor] | None = None,
    lr: float = 3e-3,
    batch_size: int = 256,
    run_dir: PathLike | None = None,
    memory_gb: float = MEMORY_GB,
    seed: int = 0,
    **settings: Any,
) -> Learner:
    """Make the learner that trains a network to tell classes of jets apart.

    Parameters
    ----------
    data : path-like, sequence of these, mapping or JetBatch
        Labeled jets: files or patterns, by class if a mapping, or jets in memory. Of what is not
        given in `valid` and for tests a tenth each is held back.
    valid : path-like, sequence of these, mapping or JetBatch, optional
        Jets to watch with.
    model : str or callable, default "particle_net_lite"
        The network; see `fieldgrad.physics.models`.
    config : path-like, optional
        Description of the analysis, a weaver YAML or a TOML file; default by the files' layout.
    observables : sequence of str, optional
        Observables of the jet that the network sees beside the constituents.
    loss : callable, optional
        Called with logits, labels and weights; default cross entropy.
    lr : float, default 3e-3
        Learning rate of AdamW; with ``learner.fit`` it rises and falls once.
    batch_size : int, default 256
        Jets in a step.
    run_dir : path-like, optional
        Folder for checkpoints, logs and pictures; without it nothing is written.
    memory_gb : float, default 2
        Jets that would take more memory, 10⁹ bytes, are read anew in each epoch.
    seed : int, default 0
        Of split, initial weights and order.
    **settings : object
        Settings of the model.

    Returns
    -------
    Learner
        For ``fit``, ``fit_one_cycle``, ``lr_find``; its ``save`` writes the Tagger.

    Raises
    ------
    FileError, DataError
        If the data cannot be used.
    """
    wanted = getattr(loss, "observer", "")
    jets = open_jets(
        data,
        valid,
        config=os.fspath(config),
        observers=[wanted] if wanted else [],
        memory_gb=memory_gb,
        seed=seed,
    )
    made = Tagger.build(
        model,
        jets.sample,
        observables=observables,
        seed=seed,
        **as_described(jets.description),
        **settings,
    )
    return _learner(made, jets, run_dir, lr, batch_size=batch_size, loss=loss, seed=seed)


def regressor(
    data: Any,
    target: str,
    *,
    valid: Any = "",
    quantiles: Sequence[float] = (),
    model: str | Callable[..., Module] = "particle_net_lite",
    config: PathLike = "",
    observables: Sequence[str] = (),
    lr: float = 3e-3,
    batch_size: int = 256,
    run_dir: PathLike | None = None,
    memory_gb: float = MEMORY_GB,
    seed: int = 0,
    **settings: Any,
) -> Learner:
    """Make the learner that trains a network to estimate a number of each jet.

    Parameters
    ----------
    data : path-like, sequence of these, mapping or JetBatch
        As for `tagger`; labels are not needed.
    target : str
        What is estimated: a column of the files, a formula of the description, or an observable of
        the jet such as "jet_sdmass".
    valid : path-like, sequence of these, mapping or JetBatch, optional
        Jets to watch with.
    quantiles : sequence of float, optional
        Quantiles to learn, such as (0.16, 0.5, 0.84); without any, one estimate.
    model : str or callable, default "particle_net_lite"
        The network.
    config : path-like, optional
        Description of the analysis.
    observables : sequence of str, optional
        Observables of the jet that the network sees beside the constituents.
    lr : float, default 3e-3
        Learning rate of AdamW.
    batch_size : int, default 256
        Jets in a step.
    run_dir : path-like, optional
        Folder for checkpoints, logs and pictures; without it nothing is written.
    memory_gb : float, default 2
        As for `tagger`.
    seed : int, default 0
        Of split, initial weights and order.
    **settings : object
        Settings of the model.

    Returns
    -------
    Learner
        For ``fit``, ``fit_one_cycle``, ``lr_find``; its ``save`` writes the Regressor.

    Raises
    ------
    FileError, DataError
        If the data cannot be used.
    """
    jets = open_jets(
        data, valid, config=os.fspath(config), observers=[target], memory_gb=memory_gb, seed=seed
    )
    made = Regressor.build(
        model,
        jets.sample,
        target=target,
        quantiles=quantiles,
        observables=observables,
        seed=seed,
        **as_described(jets.description),
        **settings,
    )
    return _learner(made, jets, run_dir, lr, batch_size=batch_size, seed=seed)


def _learner(
    made: JetModel, jets: JetData, run_dir: PathLike | None, lr: float, **options: Any
) -> Learner:
    if run_dir is not None:
        resume = (Path(run_dir) / "last.safetensors").exists()
        note_data(jets.record, Path(run_dir), resume=resume)
    optimizer = partial(AdamW, lr=lr, weight_decay=1e-4)
    return made.learner(jets.train, jets.valid, optimizer=optimizer, run_dir=run_dir, **options)
