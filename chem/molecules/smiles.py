"""SMILES to molecules of RDKit, or the reason why not; scaffolds and canonical forms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fieldgrad.engine.errors import DataError, require

__all__ = ["BadSmiles", "Problem", "canonical", "read_smiles", "scaffold", "smiles_of_block"]


class BadSmiles(DataError):
    """A text that describes no molecule; the message is the reason."""


@dataclass(frozen=True)
class Problem:
    """A row whose molecule cannot be used.

    Parameters
    ----------
    row : int
        Number of the row, from 0; the header is not counted.
    smiles : str
        The text that was read.
    reason : str
        Why it is no molecule.
    """

    row: int
    smiles: str
    reason: str


@cache
def _chem() -> Any:
    """RDKit, with its log silenced: what it has to say is in the reasons given here."""
    chem = require("rdkit.Chem", extra="chem")
    require("rdkit.RDLogger", extra="chem").DisableLog("rdApp.*")
    return chem


def read_smiles(smiles: str) -> Any:
    """Make a molecule of a SMILES.

    Parameters
    ----------
    smiles : str
        The SMILES; hydrogens stay implicit, as is usual for property models.

    Returns
    -------
    rdkit.Chem.Mol
        The molecule, with at least one atom.

    Raises
    ------
    BadSmiles
        If the text is empty, no SMILES, or breaks a rule of valence.

    Examples
    --------
    >>> read_smiles("CCO").GetNumAtoms()
    3
    >>> read_smiles("CN(C)(C)(C)C")
    Traceback (most recent call last):
    ...
    fieldgrad.chem.molecules.smiles.BadSmiles: Explicit valence for atom # 1 N, 5, is ...
    """
    chem = _chem()
    text = smiles.strip()
    if not text:
        raise BadSmiles("the cell is empty")
    mol = chem.MolFromSmiles(text)
    if mol is not None:
        if mol.GetNumAtoms() == 0:
            raise BadSmiles("the SMILES has no atom")
        return mol
    mol = chem.MolFromSmiles(text, sanitize=False)
    if mol is None:
        raise BadSmiles("this is no SMILES (unclosed ring or bracket, or an unknown symbol)")
    try:
        chem.SanitizeMol(mol)
    except ValueError as error:  # RDKit's errors of sanitization are ValueErrors
        raise BadSmiles(str(error).strip().removesuffix(".")) from error
    raise BadSmiles("RDKit refuses this SMILES")


def smiles_of_block(block: str) -> str:
    """Write the structure of an SDF record as SMILES.

    Parameters
    ----------
    block : str
        The record up to ``M  END``.

    Returns
    -------
    str
        Canonical SMILES with stereochemistry; empty if the structure cannot be read.
    """
    mol = _chem().MolFromMolBlock(block)
    return "" if mol is None else str(_chem().MolToSmiles(mol))


def canonical(mol: Any) -> str:
    """Give one text for all ways of writing a molecule, by which duplicates are found.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        The molecule.

    Returns
    -------
    str
        RDKit's canonical isomeric SMILES.

    Examples
    --------
    >>> canonical(read_smiles("OCC")) == canonical(read_smiles("CCO"))
    True
    """
    return str(_chem().MolToSmiles(mol))


def scaffold(mol: Any) -> str:
    """Give the Bemis-Murcko scaffold: rings and what links them.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        The molecule.

    Returns
    -------
    str
        Its canonical SMILES without stereochemistry; empty for a molecule without rings.

    References
    ----------
    Bemis, Murcko, "The properties of known drugs. 1. Molecular frameworks", J. Med. Chem. 39
    (1996) 2887, doi:10.1021/jm9602928.

    Examples
    --------
    >>> scaffold(read_smiles("CCc1ccccc1")), scaffold(read_smiles("CCO"))
    ('c1ccccc1', '')
    """
    murcko = require("rdkit.Chem.Scaffolds.MurckoScaffold", extra="chem")
    return str(murcko.MurckoScaffoldSmiles(mol=mol, includeChirality=False))
