"""Reading structures, their units, references, and what checks say of bad files."""

import logging

import h5py
import numpy as np
import pytest

from fieldgrad.chem.potentials.checks import check_structures, forces_match_energies
from fieldgrad.chem.potentials.io import Keys, Units, read_structures, write_structures
from fieldgrad.chem.potentials.references import fit_references
from fieldgrad.chem.potentials.structures import Structures, empty, join
from fieldgrad.chem.units import BOHR, ENERGY, HARTREE, to_internal
from fieldgrad.engine.errors import DataError, FileError

ase = pytest.importorskip("ase", reason="ASE is not installed")


def springs(n=60, seed=0, energy=-2000.0):
    """Water-like molecules on springs: energies and forces that belong together."""
    rng = np.random.default_rng(seed)
    rest = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    out = empty(n, np.array([8, 1, 1]), source="water.extxyz")
    for k in range(n):
        x = rest + rng.normal(0, 0.06, (3, 3))
        force, potential = np.zeros((3, 3)), 0.0
        for i, j, length in ((0, 1, 0.96), (0, 2, 0.96), (1, 2, 1.52)):
            r = x[j] - x[i]
            d = np.linalg.norm(r)
            potential += 15.0 * (d - length) ** 2
            force[i] += 30.0 * (d - length) * r / d
            force[j] -= 30.0 * (d - length) * r / d
        out.positions[3 * k : 3 * k + 3], out.forces[3 * k : 3 * k + 3] = x, force
        out.energies[k] = energy + potential
    return out


def replaced(structures, **changes):
    return Structures(**{**vars(structures), **changes})


def crystal():
    out = springs(2)
    out.cells[:] = np.diag([5.0, 6.0, 7.0])
    out.pbc[:] = True
    out.stresses[:] = [[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]]
    return out


# ---- files


def equal(a, b):
    for name in ("numbers", "positions", "offsets", "cells", "pbc", "energies", "forces"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-7)
    np.testing.assert_allclose(a.stresses, b.stresses, atol=1e-7)


def test_extxyz_survives_a_round_trip(tmp_path):
    structures = join([springs(3), crystal()])
    write_structures(structures, tmp_path / "s.extxyz")
    equal(read_structures(tmp_path / "s.extxyz"), structures)


def test_a_database_of_ase_is_read(tmp_path):
    from ase.db import connect

    structures = crystal()
    with connect(tmp_path / "s.db") as db:
        for atoms in structures.to_atoms():
            db.write(atoms)
    equal(read_structures(tmp_path / "s.db"), structures)


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_arrays_are_read_in_their_units(tmp_path, kind):
    structures = springs(4)
    arrays = {
        "nuclear_charges": np.array([8, 1, 1]),
        "coords": structures.positions.reshape(4, 3, 3) / BOHR,
        "energies": structures.energies / HARTREE,
        "forces": structures.forces.reshape(4, 3, 3) / (HARTREE / BOHR),
    }
    path = tmp_path / f"s.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[f"water/{name}"] = values
    equal(read_structures(path, units=Units("Hartree", "Bohr")), structures)


def test_ragged_arrays_and_gradients_are_read(tmp_path):
    structures = springs(2)
    np.savez(
        tmp_path / "s.npz", z=np.array([8, 1, 1, 8, 1, 1]), R=structures.positions,
        n_atoms=[3, 3], E=structures.energies, gradient=-structures.forces,
    )  # fmt: skip
    equal(read_structures(tmp_path / "s.npz"), structures)


def test_other_names_are_found_and_preferred(tmp_path):
    atoms = springs(1).to_atoms()[0]
    atoms.info["REF_energy"] = -5.0
    atoms.arrays["REF_forces"] = np.ones((3, 3))
    atoms.info["mine"] = 7.0
    ase.io.write(tmp_path / "s.extxyz", atoms)
    found = read_structures(tmp_path / "s.extxyz")
    assert found.energies[0] == -5.0
    assert (found.forces == 1.0).all()
    found = read_structures(tmp_path / "s.extxyz", keys=Keys(energy="mine"))
    assert found.energies[0] == 7.0
    with pytest.raises(DataError, match="no 'mein' for the energy; did you mean 'mine'"):
        read_structures(tmp_path / "s.extxyz", keys=Keys(energy="mein"))


def test_virials_become_stresses(tmp_path):
    atoms = crystal().to_atoms()[0]
    atoms.info["virial"] = -210.0 * np.eye(3)
    del atoms.calc.results["stress"]
    ase.io.write(tmp_path / "s.extxyz", atoms)
    found = read_structures(tmp_path / "s.extxyz")
    np.testing.assert_allclose(found.stresses[0], np.eye(3))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.extxyz", None, "no.extxyz does not exist"),
        ("empty.extxyz", "", "empty.extxyz is empty"),
        ("odd.extxyz", "hello\nworld\n", "odd.extxyz cannot be read"),
        ("odd.h5", "hello", "odd.h5 cannot be read"),
        ("odd.npz", "hello", "odd.npz cannot be read"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(FileError, match=message):
        read_structures(tmp_path / name)


def test_arrays_without_positions_are_named(tmp_path):
    np.savez(tmp_path / "s.npz", z=np.array([1]), E=np.zeros(3))
    with pytest.raises(DataError, match=r"no positions under a usual name .*It has: z, E"):
        read_structures(tmp_path / "s.npz")


# ---- units


def test_factors_are_those_of_codata():
    assert to_internal("kcal/mol") == pytest.approx(1 / 23.060548, rel=1e-7)
    assert to_internal("Hartree") == 27.211386245988
    assert to_internal("kJ/mol/nm") == pytest.approx(to_internal("kJ/mol") / 10)
    assert to_internal("eV/Angstrom^3") == 1.0
    assert to_internal("GPa") == pytest.approx(1 / 160.21766208, rel=1e-8)
    with pytest.raises(DataError, match="'Hartre' is unknown; did you mean 'Hartree'"):
        to_internal("Hartre")


# ---- references


def test_least_squares_finds_the_energies_of_atoms():
    numbers = [np.array([8, 1, 1]), np.array([8]), np.array([1, 1]), np.array([8, 8, 1])]
    parts = [empty(1, z) for z in numbers]
    for part in parts:
        part.energies[0] = np.where(part.numbers == 8, -2041.0, -13.6).sum()
    references = fit_references(join(parts))
    assert references.energies == pytest.approx({1: -13.6, 8: -2041.0})


def test_given_and_isolated_energies_leave_a_mean_bond():
    atoms = [empty(1, np.array([z])) for z in (8, 1)]
    atoms[0].energies[0], atoms[1].energies[0] = -1900.0, -45.0
    structures = springs(energy=-2000.0)
    isolated = fit_references(join([structures, *atoms]), "isolated")
    given = fit_references(structures, {"O": -1900.0, "H": -45.0})
    assert isolated.energies == given.energies == {8: -1900.0, 1: -45.0}
    # -2000 + about 0.5 of the springs, less -1990, for three atoms
    assert given.shift == pytest.approx(isolated.shift)
    assert -3.4 < given.shift < -3.0
    remains = structures.energies - given.of_structures(structures)
    assert abs(remains.mean()) < 1e-9


def test_references_that_do_not_belong_are_refused():
    structures = springs()
    with pytest.raises(DataError, match=r"no reference energy for O; the structures have H, O"):
        fit_references(structures, {"H": -13.6})
    with pytest.raises(
        DataError, match=r"(?s)leave -657\.\d eV per atom.*total energy and the other"
    ):
        fit_references(structures, {"H": -13.6, "O": 0.0})
    with pytest.raises(DataError, match="no structure is a single atom"):
        fit_references(structures, "isolated")
    with pytest.raises(DataError, match="'least_square'; did you mean 'least_squares'"):
        fit_references(structures, "least_square")


# ---- checks


def test_sound_structures_pass_quietly(caplog):
    with caplog.at_level(logging.WARNING):
        assert check_structures(springs()) == []
    assert not caplog.records
    match = forces_match_energies(springs())
    assert match.slope == pytest.approx(1.0, abs=0.05)
    assert match.correlation > 0.95


def test_turned_molecules_are_compared_too():
    structures, rng = springs(), np.random.default_rng(0)
    for k in range(len(structures)):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        q *= np.sign(np.linalg.det(q))
        atoms = slice(3 * k, 3 * k + 3)
        structures.positions[atoms] = structures.positions[atoms] @ q + rng.normal(size=3)
        structures.forces[atoms] = structures.forces[atoms] @ q
    assert forces_match_energies(structures).slope == pytest.approx(1.0, abs=0.05)


def test_forces_of_wrong_sign_are_found():
    structures = springs()
    with pytest.raises(DataError, match=r"(?s)forces have the wrong sign.*negate them"):
        check_structures(replaced(structures, forces=-structures.forces))


def test_energies_in_other_units_than_forces_are_found():
    structures = springs(energy=-20.0)
    energies = structures.energies / ENERGY["kcal/mol"]
    with pytest.raises(DataError, match=r"(?s)different units.*kcal/mol and eV \(factor 23\.06\)"):
        check_structures(replaced(structures, energies=energies))


def test_mixed_units_are_found():
    structures = springs()
    structures.energies[17] /= HARTREE
    with pytest.raises(
        DataError, match=r"(?s)mixes units: the energy of structure 17.*Hartree and eV"
    ):
        check_structures(structures)


def test_lengths_in_bohr_and_sums_of_forces_are_noticed():
    structures = springs()
    bohr = replaced(structures, positions=structures.positions / BOHR,
                    forces=structures.forces * BOHR)  # fmt: skip
    (sentence,) = check_structures(bohr)
    assert "Are lengths in Bohr" in sentence
    pulled = replaced(structures, forces=structures.forces + np.array([1.0, 0.0, 0.0]))
    assert any("do not add up to zero" in sentence for sentence in check_structures(pulled))


def test_missing_energies_are_counted():
    structures = springs()
    nothing = replaced(structures, energies=np.full(60, np.nan), forces=np.full((180, 3), np.nan))
    with pytest.raises(DataError, match=r"none of its 60 structures has an energy or forces"):
        check_structures(nothing)
    structures.energies[[4, 9]] = np.nan
    with pytest.raises(DataError, match=r"2 of 60 structures have no energy \(the first is numb"):
        check_structures(structures)
    check_structures(structures, needs_energies=False)
