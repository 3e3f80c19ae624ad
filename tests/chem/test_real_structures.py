"""Structures of real data sets: found through the environment variable FIELDGRAD_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from fieldgrad.chem.potentials.checks import check_structures, forces_match_energies
from fieldgrad.chem.potentials.io import Units, read_structures
from fieldgrad.chem.potentials.references import fit_references
from fieldgrad.engine.errors import DataError

pytest.importorskip("ase", reason="ASE is not installed")
FOLDER = Path(os.environ.get("FIELDGRAD_DATA", "")) / "chem"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "md").is_dir(), reason="set FIELDGRAD_DATA to the folder of real data"
    ),
]


@pytest.mark.parametrize(
    ("name", "n", "slope"),
    [
        ("md/ethanol_rmd17_train.extxyz", 1000, 1.0),
        ("md/ethanol_gfn2_500K.extxyz", 2000, 1.0),
        ("md/acac_train_300K.extxyz", 500, 1.0),
        ("periodic/cu_emt_32.extxyz", 600, None),  # every frame has a cell of its own
    ],
)
def test_structures_are_what_they_say(name, n, slope):
    structures = read_structures(FOLDER / name)
    assert len(structures) == n
    assert check_structures(structures) == []
    match = forces_match_energies(structures)
    if slope is not None:
        assert match.slope == pytest.approx(slope, abs=0.25)
        assert match.correlation > 0.8


def test_kilocalories_are_noticed_and_converted():
    path = FOLDER / "md" / "ethanol_md17_kcalmol.extxyz"
    (sentence,) = check_structures(read_structures(path))
    assert "Are they in kcal/mol/Å" in sentence
    converted = read_structures(path, units=Units("kcal/mol"))
    assert check_structures(converted) == []
    assert converted.energies.mean() == pytest.approx(-4215, abs=3)  # eV, of PBE+vdW ethanol


def test_wrong_signs_of_real_forces_are_found():
    structures = read_structures(FOLDER / "md" / "ethanol_rmd17_train.extxyz")
    structures.forces[:] *= -1
    with pytest.raises(DataError, match="wrong sign"):
        check_structures(structures)


def test_references_leave_small_numbers():
    structures = read_structures(FOLDER / "md" / "ethanol_rmd17_train.extxyz")
    remains = structures.energies - fit_references(structures).of_structures(structures)
    assert np.abs(remains).max() < 2.0
    assert remains.std() == pytest.approx(0.187, abs=0.01)
