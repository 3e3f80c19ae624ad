"""The D-MPNN against its equations, and the laws that graphs obey."""

from functools import partial

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.chem.molecules.dmpnn import DMPNN
from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.fingerprint import FingerprintMLP
from fieldgrad.chem.molecules.fitting import Inputs, outputs
from fieldgrad.chem.molecules.losses import binary_cross_entropy, gaussian_nll, squared_error
from fieldgrad.engine.data import as_tensors
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.ops.random import manual_seed

pytest.importorskip("rdkit", reason="needs the extra chem")


def inputs_of(smiles, n_descriptors=0):
    molecules = featurize(smiles)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(molecules), n_descriptors)).astype(np.float32)
    return Inputs(molecules.graphs, values)


@pytest.fixture
def net():
    manual_seed(0)
    return DMPNN(1, hidden_size=24).eval()


def test_messages_follow_the_equations(net):
    # Equations 1 to 5 edge by edge in float64, for a branched molecule with a ring.
    atoms, bonds, edges, _, _ = inputs_of(["CC(N)c1ccco1"]).batch([0])
    w_i, w_h = (layer.weight.data.astype(float) for layer in
                (net.message_passing.W_i, net.message_passing.W_h))  # fmt: skip
    w_o, b_o = (p.data.astype(float) for p in net.message_passing.W_o.parameters())
    pairs = [tuple(pair) for pair in edges.T.tolist()]
    h_0 = {e: w_i @ np.concatenate([atoms[e[0]], bonds[k]]) for k, e in enumerate(pairs)}
    h = {e: np.maximum(x, 0) for e, x in h_0.items()}
    for _ in range(2):
        m = {
            (v, w): sum((h[u, x] for u, x in pairs if x == v and u != w), 0 * h_0[v, w])
            for v, w in pairs
        }
        h = {e: np.maximum(h_0[e] + w_h @ m[e], 0) for e in pairs}
    expected = []
    for v in range(len(atoms)):
        total = sum(h[u, x] for u, x in pairs if x == v)
        expected.append(np.maximum(w_o @ np.concatenate([atoms[v], total]) + b_o, 0))
    found = net.message_passing(*map(fg.tensor, (atoms, bonds, edges)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_default_has_the_parameters_of_chemprop():
    assert DMPNN(1).n_parameters() == 318_301


def test_order_of_atoms_does_not_matter(net):
    a, b = outputs(net, inputs_of(["OCCc1ccccc1C(=O)N", "NC(=O)c1ccccc1CCO"]))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_batches_do_not_matter(net, smiles):
    inputs = inputs_of(smiles)
    one_by_one = [net(as_tensors(inputs.batch([i]))).numpy()[0] for i in range(len(smiles))]
    np.testing.assert_allclose(outputs(net, inputs), one_by_one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("readout", ["norm", "mean", "sum", "attentive"])
def test_readouts_give_a_vector_for_each_molecule(readout):
    net = DMPNN(2, hidden_size=8, readout=readout)
    assert net.fingerprint(as_tensors(inputs_of(["C", "CCO"]).batch([0, 1]))).shape == (2, 8)


def test_mean_readout_is_the_mean_over_atoms():
    net = DMPNN(1, hidden_size=8, readout="mean").eval()
    atoms, bonds, edges, offsets, d = as_tensors(inputs_of(["CCO"]).batch([0]))
    h = net.message_passing(atoms, bonds, edges).numpy()
    np.testing.assert_allclose(
        net.fingerprint((atoms, bonds, edges, offsets, d)).numpy()[0], h.mean(axis=0), rtol=1e-5
    )


def test_single_atoms_and_large_molecules_pass(net):
    assert np.isfinite(outputs(net, inputs_of(["C", "[Na+].[Cl-]", "C" * 500]))).all()


def test_descriptors_join_the_readout():
    net = DMPNN(1, n_descriptors=5, hidden_size=8)
    assert np.isfinite(outputs(net, inputs_of(["C", "CO"], 5))).all()


@pytest.mark.parametrize("make", [partial(DMPNN, hidden_size=16), FingerprintMLP])
def test_gradients_reach_every_parameter(make, smiles):
    net = make(1, n_descriptors=4)
    fg.sum(net(as_tensors(inputs_of(smiles[:40], 4).batch(range(40))))).backward()
    assert all(p.grad is not None and np.abs(p.grad.numpy()).max() > 0 for p in net.parameters())


def test_what_cannot_be_built_is_refused():
    with pytest.raises(RecipeError, match="attentive"):
        DMPNN(1, readout="max")
    with pytest.raises(RecipeError, match="descriptors"):
        FingerprintMLP(1, n_descriptors=0)


@pytest.mark.parametrize("loss", [squared_error, binary_cross_entropy, gaussian_nll])
def test_missing_labels_do_not_count(loss):
    rng = np.random.default_rng(0)
    width = 4 if loss is gaussian_nll else 2
    out = fg.tensor(rng.normal(size=(6, width)).astype(np.float32), requires_grad=True)
    y = rng.integers(0, 2, (6, 2)).astype(np.float32)
    y[2:4, 1] = np.nan
    y[5] = np.nan
    value = loss(out, fg.tensor(y))
    value.backward()
    assert np.isfinite(float(value))
    missing = np.isnan(np.tile(y, (1, width // 2)))
    assert (out.grad.numpy()[missing] == 0).all()
    assert (out.grad.numpy()[~missing] != 0).all()
    # The mean over the labels that are there: task 0 alone, weighted by its share of labels.
    own = [0, 2] if width == 4 else [0]
    first = loss(fg.tensor(out.numpy()[:5, own]), fg.tensor(y[:5, :1]))
    second = loss(fg.tensor(out.numpy()[[0, 1, 4]][:, [i + 1 for i in own]]),
                  fg.tensor(y[[0, 1, 4], 1:]))  # fmt: skip
    assert float(value) == pytest.approx((5 * float(first) + 3 * float(second)) / 8, rel=1e-5)


def test_no_label_at_all_is_a_loss_of_nothing():
    assert float(squared_error(fg.zeros((2, 1)), fg.tensor(np.full((2, 1), np.nan)))) == 0


def test_positive_weight_counts_positives_more():
    out, y = fg.zeros((2, 1)), fg.tensor([[1.0], [0.0]])
    plain = float(binary_cross_entropy(out, y))
    weighted = float(binary_cross_entropy(out, y, np.float32([3.0])))
    assert weighted == pytest.approx(2 * plain)
