"""Which atoms a prediction comes from, and a drawing of them.

References
----------
Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365,
equation 3: integrated gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.labels import class_slices
from fieldgrad.chem.molecules.predictor import Predictor
from fieldgrad.chem.molecules.smiles import read_smiles
from fieldgrad.engine import Tensor, value_and_grad
from fieldgrad.engine import sum as total
from fieldgrad.engine.errors import DataError, require

__all__ = ["atom_contributions", "draw_contributions"]

# Orange raises the prediction, blue lowers it; distinct to most color-blind readers.
_UP, _DOWN = (0.90, 0.62, 0.0), (0.34, 0.71, 0.91)


def atom_contributions(
    predictor: Predictor, smiles: str, target: str | None = None, *, n_steps: int = 64
) -> NDArray[np.float64]:
    """Divide a prediction among the atoms.

    Parameters
    ----------
    predictor : Predictor
        A fitted model that sees the graph.
    smiles : str
        The molecule.
    target : str, optional
        Which of the model's targets; the first if left out.
    n_steps : int, default 64
        Points of the integral.

    Returns
    -------
    ndarray of shape (n_atoms,)
        In the order of the atoms in the SMILES: how much each raises the prediction over that of a
        molecule of the same graph without any features, in the target's units; for classes in
        units of the logit, of the likeliest if they have names. Half of a bond's part goes to each
        of its atoms. They sum to that difference, up to the error of the integral.

    Raises
    ------
    BadSmiles
        If there is no such molecule.
    DataError
        If the model has no such target, or sees no graph.
    """
    if target is not None and target not in predictor.targets:
        raise DataError(
            f"the model has no target {target!r}. Targets: {', '.join(predictor.targets)}."
        )
    read_smiles(smiles)  # says why not
    column = task = 0 if target is None else predictor.targets.index(target)
    molecules = featurize([smiles], descriptors=predictor.kinds())
    if predictor.classes:
        own = class_slices(predictor.classes)[task]
        p = predictor.estimate(molecules, 1).values[0]
        column = own.start + int(p[own].argmax())
    parts = [
        _integrate(network, predictor.inputs(molecules).batch([0]), column, n_steps)
        for network in predictor.networks
    ]
    contributions: NDArray[np.float64] = np.mean(parts, axis=0) * predictor.scale[task]
    if not contributions.any():
        raise DataError("the model does not look at atoms; interpret one of kind 'dmpnn'.")
    return contributions


def _integrate(network: Any, x: Any, column: int, n_steps: int) -> NDArray[np.float64]:
    """Integrate the gradient along the line from no features to the molecule's."""
    atoms, bonds, edges, offsets, descriptors = x

    def output(a: Tensor, b: Tensor) -> Tensor:
        rest = (Tensor(edges), Tensor(offsets), Tensor(descriptors))
        return total(network((a, b, *rest))[:, column])

    slope = value_and_grad(output, (0, 1))
    sums = [np.zeros(atoms.shape), np.zeros(bonds.shape)]
    for t in (np.arange(n_steps) + 0.5) / n_steps:
        _, slopes = slope(Tensor(np.float32(t) * atoms), Tensor(np.float32(t) * bonds))
        for own, part in zip(sums, slopes, strict=True):
            own += part.numpy() / n_steps
    by_atom = (sums[0] * atoms).sum(axis=1)
    by_edge = (sums[1] * bonds).sum(axis=1)
    for end in edges:
        np.add.at(by_atom, end, by_edge / 2)
    return by_atom


def draw_contributions(
    smiles: str, contributions: NDArray[np.float64], *, caption: str = "", size: int = 450
) -> str:
    """Draw a molecule with its atoms colored by their contributions.

    Parameters
    ----------
    smiles : str
        The molecule.
    contributions : ndarray of shape (n_atoms,)
        As from `atom_contributions`; orange raises the prediction, blue lowers it.
    caption : str, default ""
        Line below the molecule.
    size : int, default 450
        Width and height in pixels.

    Returns
    -------
    str
        The picture as SVG.
    """
    draw = require("rdkit.Chem.Draw.rdMolDraw2D", extra="chem")
    mol = read_smiles(smiles)
    strength = contributions / max(float(np.abs(contributions).max()), 1e-12)
    colors = {
        i: tuple(1 - abs(s) * (1 - c) for c in (_UP if s > 0 else _DOWN))
        for i, s in enumerate(strength.tolist())
    }
    radii = {i: 0.25 + 0.2 * abs(s) for i, s in enumerate(strength.tolist())}
    canvas = draw.MolDraw2DSVG(size, size)
    options = canvas.drawOptions()
    options.legendFontSize = 18
    options.fillHighlights = True
    draw.PrepareAndDrawMolecule(
        canvas,
        mol,
        legend=caption,
        highlightAtoms=list(colors),
        highlightAtomColors=colors,
        highlightAtomRadii=radii,
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return str(canvas.GetDrawingText())
