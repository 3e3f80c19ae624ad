import numpy as np
import pytest

from fieldgrad.chem.potentials.neighbors import NeighborList, find_pairs
from fieldgrad.engine.errors import DataError

neighborlist = pytest.importorskip("ase.neighborlist", reason="ASE is not installed")


def full(pairs):
    """Give both directions as sorted rows i, j, shift."""
    i, j = pairs.atoms
    one = np.column_stack([i, j, pairs.shifts])
    other = np.column_stack([j, i, -pairs.shifts])
    rows = np.concatenate([one, other])
    return rows[np.lexsort(rows.T)]


def of_ase(positions, cutoff, cell, pbc):
    i, j, s = neighborlist.primitive_neighbor_list("ijS", pbc, cell, positions, cutoff)
    rows = np.column_stack([i, j, s]).astype(int).reshape(-1, 5)
    return rows[np.lexsort(rows.T)]


def random_case(rng):
    """Small, skewed, partially periodic cells, with atoms outside of them."""
    n = int(rng.integers(1, 12))
    while True:
        cell = rng.normal(0, 1, (3, 3)) * rng.uniform(1, 5) + np.eye(3) * rng.uniform(1, 6)
        volume = abs(np.linalg.det(cell))
        if volume > 0.05 * np.prod(np.linalg.norm(cell, axis=1)) and volume > 8:
            break
    pbc = rng.random(3) < 0.6
    positions = rng.uniform(-1.5, 2.5, (n, 3)) @ cell
    return positions, float(rng.uniform(0.5, 5.0)), cell, pbc


@pytest.mark.slow
def test_pairs_are_those_of_ase_in_500_random_cells():
    rng = np.random.default_rng(0)
    for _ in range(500):
        positions, cutoff, cell, pbc = random_case(rng)
        pairs = find_pairs(positions, cutoff, cell, pbc)
        np.testing.assert_array_equal(full(pairs), of_ase(positions, cutoff, cell, pbc))
        i, j = pairs.atoms
        want = positions[j] - positions[i] + pairs.shifts @ cell
        np.testing.assert_allclose(pairs.vectors, want, atol=1e-9)


def test_pairs_of_many_atoms_are_those_of_ase():
    rng = np.random.default_rng(1)
    for pbc in (False, True):
        cell = np.diag([30.0, 22.0, 26.0])
        positions = rng.uniform(0, 1, (1500, 3)) @ cell
        args = positions, 3.5, cell, np.array([pbc] * 3)
        np.testing.assert_array_equal(full(find_pairs(*args)), of_ase(*args))


def test_far_apart_atoms_need_no_more_memory():
    positions = np.array([[0.0, 0, 0], [1.0, 0, 0], [1e9, 1e9, 0], [1e9, 1e9, 1.0]])
    assert find_pairs(positions, 2.0).atoms.T.tolist() == [[0, 1], [2, 3]]


def test_no_atoms_and_one_atom_have_no_pairs():
    assert find_pairs(np.zeros((0, 3)), 5.0).atoms.shape == (2, 0)
    assert find_pairs(np.zeros((1, 3)), 5.0).vectors.shape == (0, 3)


def test_periodic_images_and_wrapping_change_nothing():
    rng = np.random.default_rng(2)
    cell = np.array([[4.0, 0, 0], [1.5, 3.5, 0], [-1.0, 0.5, 5.0]])
    positions = rng.uniform(0, 1, (4, 3)) @ cell
    moved = positions + rng.integers(-3, 4, (4, 3)) @ cell
    a, b = find_pairs(positions, 4.5, cell, True), find_pairs(moved, 4.5, cell, True)
    lengths = [np.sort(np.linalg.norm(p.vectors, axis=1)) for p in (a, b)]
    np.testing.assert_allclose(*lengths, atol=1e-10)


def test_skin_gives_the_same_pairs_with_fewer_searches():
    rng = np.random.default_rng(3)
    cell = 7.0 * np.eye(3)
    positions = rng.uniform(0, 7, (40, 3))
    lists = NeighborList(3.0, skin=0.6)
    for _ in range(30):
        positions = positions + rng.normal(0, 0.02, positions.shape)
        np.testing.assert_array_equal(
            full(lists(positions, cell, True)), full(find_pairs(positions, 3.0, cell, True))
        )
    assert 1 < lists.n_searches < 15
    before = lists.n_searches
    lists(positions, 1.01 * cell, True)
    assert lists.n_searches == before + 1


@pytest.mark.parametrize(
    ("positions", "settings", "message"),
    [
        ([[0.0, 0, np.nan]], {}, "position of atom 0 is .*nan"),
        ([[0.0, 0, 0]], {"cutoff": 0.0}, "cutoff is 0.0; expected a length above 0"),
        ([[0.0, 0, 0]], {"pbc": True}, "span no volume"),
        ([[0.0, 0, 0]], {"pbc": True, "cell": np.ones((3, 3))}, "span no volume"),
    ],
)
def test_what_has_no_neighbors_is_refused(positions, settings, message):
    with pytest.raises(DataError, match=message):
        find_pairs(positions, **{"cutoff": 3.0, **settings})
