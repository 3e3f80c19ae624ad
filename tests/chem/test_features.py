"""Atom and bond vectors are those of chemprop 2; graphs and descriptors keep their laws."""

import numpy as np
import pytest

from fieldgrad.chem.molecules.descriptors import Scaler, describe
from fieldgrad.chem.molecules.features import ATOM_SIZE, BOND_SIZE
from fieldgrad.chem.molecules.featurize import Featurizer, featurize
from fieldgrad.chem.molecules.graph import MoleculeGraphs
from fieldgrad.chem.molecules.smiles import BadSmiles, read_smiles, scaffold
from fieldgrad.engine.errors import FieldgradError

pytest.importorskip("rdkit", reason="needs the extra chem")


def places(vector):
    return np.flatnonzero(vector).tolist()


def test_vectors_have_the_sizes_of_chemprop():
    assert (ATOM_SIZE, BOND_SIZE) == (72, 14)


def test_atoms_of_acetate_are_those_of_chemprop():
    # From chemprop 2.3.1: MultiHotAtomFeaturizer.v2() on CC(=O)[O-]. Starts of the lists: number 0,
    # degree 38, charge 45, chirality 51, hydrogens 56, hybridization 62, aromatic 70, mass 71.
    atoms, *_ = featurize(["CC(=O)[O-]"]).graphs.batch([0])
    assert places(atoms[0]) == [5, 42, 49, 51, 59, 66, 71]
    assert places(atoms[1]) == [5, 41, 49, 51, 56, 64, 71]
    assert places(atoms[3]) == [7, 39, 45, 51, 56, 64, 71]
    assert atoms[1, 71] == pytest.approx(0.12011)


def test_bonds_are_those_of_chemprop():
    # From chemprop 2.3.1: MultiHotBondFeaturizer() on C/C=C/c1ccccc1: null, type, conjugated, ring,
    # stereo. RDKit's STEREOE is 3.
    _, bonds, edges, _ = featurize(["C/C=C/c1ccccc1"]).graphs.batch([0])
    assert places(bonds[0]) == [1, 7]
    assert places(bonds[2]) == [2, 5, 10]
    ring = np.flatnonzero((edges[0] == 3) & (edges[1] == 4))[0]
    assert places(bonds[ring]) == [4, 5, 6, 7]


def test_what_no_list_has_is_other():
    atoms, *_ = featurize(["[Pt+4]"]).graphs.batch([0])
    assert places(atoms[0])[0] == 37
    assert 50 in places(atoms[0])


def test_each_bond_is_two_edges_side_by_side(smiles):
    _, bonds, edges, offsets = featurize(smiles).graphs.batch(range(len(smiles)))
    np.testing.assert_array_equal(edges[:, 0::2], edges[::-1, 1::2])
    np.testing.assert_array_equal(bonds[0::2], bonds[1::2])
    molecule = np.searchsorted(offsets, edges, side="right")
    np.testing.assert_array_equal(molecule[0], molecule[1])


def test_taking_and_joining_are_each_others_inverse(smiles):
    graphs = featurize(smiles).graphs
    again = MoleculeGraphs.joined([graphs.take([i]) for i in range(len(graphs))])
    for name, array in graphs.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), ("C1CC", "no SMILES"), ("C[Al](Cl)(Cl)(Cl)(Cl)(Cl)Cl", "valence"), ("?", "no")],
)
def test_bad_smiles_have_a_reason(text, reason):
    with pytest.raises(BadSmiles, match=reason):
        read_smiles(text)


def test_bad_smiles_are_left_out_and_named():
    molecules = featurize(["C", "C1CC", "", "CO"])
    assert molecules.rows.tolist() == [0, 3]
    assert [p.row for p in molecules.problems] == [1, 2]
    assert len(molecules.graphs) == 2


def test_scaffold_is_rings_and_linkers():
    assert scaffold(read_smiles("Cc1ccccc1CCC1CCCC1")) == "c1ccc(CCC2CCCC2)cc1"


def same(a, b):
    for name, array in a.graphs.arrays().items():
        np.testing.assert_array_equal(array, b.graphs.arrays()[name])
    np.testing.assert_array_equal(a.rows, b.rows)
    assert a.problems == b.problems
    assert a.canonical == b.canonical
    assert a.scaffolds == b.scaffolds
    for kind in a.descriptors:
        np.testing.assert_array_equal(a.descriptors[kind], b.descriptors[kind])


@pytest.mark.slow
def test_processes_give_what_one_gives(smiles):
    mixed = [*smiles, "C1CC"] * 8
    alone = featurize(mixed, descriptors=["morgan"], identity=True)
    with Featurizer(descriptors=["morgan"], identity=True, n_workers=2) as featurizer:
        parts = list(featurizer.stream(iter([mixed[:600], mixed[600:]])))
    starts = [0, 600]
    same(alone, type(alone).joined(parts, starts))


@pytest.mark.slow
def test_death_of_a_process_is_told(smiles):
    with Featurizer(n_workers=2) as featurizer:
        featurizer._start()
        for child in featurizer._children:
            child.kill()
            child.wait()
        with pytest.raises(FieldgradError, match="ended"):
            list(featurizer.stream(iter([smiles])))


def test_cache_gives_the_same_and_survives_damage(tmp_path, smiles):
    with Featurizer(identity=True, cache=tmp_path) as featurizer:
        first = featurizer([*smiles, "C1CC"])
        (file,) = tmp_path.iterdir()
        same(first, featurizer([*smiles, "C1CC"]))
        file.write_bytes(b"damaged")
        same(first, featurizer([*smiles, "C1CC"]))
        assert file.stat().st_size > 100
        featurizer(smiles)
        assert len(list(tmp_path.iterdir())) == 2


def test_cache_knows_what_was_asked_for(tmp_path, smiles):
    with Featurizer(cache=tmp_path) as featurizer:
        featurizer(smiles[:5])
    with Featurizer(cache=tmp_path, descriptors=["morgan"]) as featurizer:
        assert featurizer(smiles[:5]).descriptors["morgan"].shape == (5, 2048)


def test_descriptors_do_not_depend_on_the_writing():
    values = describe([read_smiles("OCCc1ccccc1"), read_smiles("c1ccc(CCO)cc1")], "rdkit2d")
    np.testing.assert_allclose(values[0], values[1], rtol=1e-9)


def test_scaled_descriptors_are_finite_and_standard():
    raw = np.array([[1e30, 0.0, 5.0], [-3.0, np.nan, 5.0], [2.0, 1.0, 5.0]])
    scaled = Scaler.fit(raw)(raw)
    assert np.isfinite(scaled).all()
    assert scaled[:, 2].tolist() == [0, 0, 0]
    assert scaled[1, 1] == 0
