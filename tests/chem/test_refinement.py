"""Which bonds and atoms are alike: against nested lists of what each has received."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.chem.molecules.dmpnn import DirectedMessagePassing
from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.refinement import refine
from fieldgrad.engine.ops.random import manual_seed

pytest.importorskip("rdkit", reason="needs the extra chem")


def batch_of(*smiles):
    return featurize(smiles).graphs.batch(range(len(smiles)))[:3]


def partition(labels):
    """Give the places of each label, as a set of sets."""
    places = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return {frozenset(group) for group in places.values()}


def trees(atoms, bonds, edges, n_rounds):
    """Write out all that edges, and in the end atoms, have received; give each round's."""
    v, w = edges
    own = [(atoms[a].tobytes(), bonds[e].tobytes()) for e, a in enumerate(v)]
    states = [[(start, ()) for start in own]]
    for _ in range(n_rounds):
        last = states[-1]
        incoming = [
            [last[k] for k in np.flatnonzero(w == a) if k != e ^ 1] for e, a in enumerate(v)
        ]
        states.append(
            [(o, tuple(sorted(map(repr, r)))) for o, r in zip(own, incoming, strict=True)]
        )
    incoming = [[states[-1][k] for k in np.flatnonzero(w == a)] for a in range(len(atoms))]
    states.append(
        [(x.tobytes(), tuple(sorted(map(repr, r)))) for x, r in zip(atoms, incoming, strict=True)]
    )
    return states


def test_symmetric_molecules_have_few_classes():
    for smiles, n_edge_classes, n_atom_classes in [
        ("c1ccccc1", 1, 1), ("CC(C)(C)C", 2, 2), ("Cc1ccccc1", 8, 5), ("[Na+].[Cl-]", 0, 2),
    ]:  # fmt: skip
        atoms, bonds, edges = batch_of(smiles)
        _, rounds = refine(edges, len(atoms), 4, (atoms, bonds))
        assert len(rounds[-2].classes.first) == n_edge_classes
        assert len(rounds[-1].classes.first) == n_atom_classes


def test_classes_are_those_of_the_whole_history(smiles):
    atoms, bonds, edges = batch_of(*smiles[:40])
    start, rounds = refine(edges, len(atoms), 3, (atoms, bonds))
    found = [start, *(step.classes for step in rounds)]
    for classes, expected in zip(found, trees(atoms, bonds, edges, 3), strict=True):
        assert partition(classes.of.tolist()) == partition(expected)
        np.testing.assert_array_equal(classes.of[classes.first], np.arange(len(classes.first)))


def test_the_first_of_two_exchanged_ends_is_another_class():
    # An edge of kind A that receives one of kind B, and the other way around.
    atoms, bonds, edges = batch_of("CCO", "OCC")
    _, rounds = refine(edges, len(atoms), 1, (atoms, bonds))
    assert len(rounds[0].classes.first) == 4  # C>C, C>O after C; O>C, C>C after O


def passing(atoms, bonds, edges, *, separate):
    manual_seed(3)
    net = DirectedMessagePassing(hidden_size=12, depth=4)
    x = fg.tensor(atoms, requires_grad=separate)
    h = net(x, fg.tensor(bonds), fg.tensor(edges))
    weights = np.random.default_rng(0).normal(size=h.shape).astype(np.float32)
    fg.sum(h * fg.tensor(weights)).backward()
    return h.numpy(), [p.grad.numpy() for p in net.parameters()], x.grad


def test_states_and_slopes_are_those_of_separate_bonds(smiles):
    batch = batch_of(*smiles[:60])
    merged, slopes, _ = passing(*batch, separate=False)
    separate, expected, _ = passing(*batch, separate=True)
    np.testing.assert_allclose(merged, separate, rtol=1e-5, atol=1e-6)
    for found, wanted in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_each_atom_keeps_its_own_slope():
    # The twelve edges of benzene are alike, yet each atom's features have their own influence.
    atoms, bonds, edges = batch_of("c1ccccc1")
    *_, slope = passing(atoms, bonds, edges, separate=True)
    assert (np.abs(slope.numpy()).max(axis=1) > 0).all()


def test_dropout_tells_equal_molecules_apart():
    manual_seed(0)
    net = DirectedMessagePassing(hidden_size=32, dropout=0.5)
    x = [fg.tensor(part) for part in batch_of("CCO", "CCO")]
    first, second = np.split(net(*x).numpy(), 2)
    assert (first != second).any()
    first, second = np.split(net.eval()(*x).numpy(), 2)
    np.testing.assert_array_equal(first, second)
