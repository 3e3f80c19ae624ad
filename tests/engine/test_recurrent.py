"""Recurrent layers: the fused op beside cells in a loop, and what is special about sequences."""

import numpy as np
import pytest

import fieldgrad.engine as fg

KINDS = ("GRU", "LSTM")


def layer_and_cell(kind, in_features=3, hidden=5, **options):
    """A layer and a cell with the same values."""
    layer = getattr(fg.nn, kind)(in_features, hidden, **options)
    cell = getattr(fg.nn, f"{kind}Cell")(in_features, hidden)
    cell.load_state_dict(
        {k.removesuffix("_l0"): v for k, v in layer.state_dict().items() if k.endswith("_l0")}
    )
    return layer, cell


def sequence(batch=4, steps=6, size=3, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, steps, size)).astype(dtype)


def in_a_loop(cell, x):
    states = [cell(x[:, 0])]
    for t in range(1, x.shape[1]):
        states.append(cell(x[:, t], states[-1]))
    return fg.stack([s[0] if isinstance(s, tuple) else s for s in states], axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_cell_in_a_loop(kind):
    layer, cell = layer_and_cell(kind)
    x = fg.tensor(sequence(batch=19), requires_grad=True)
    fused, by_hand = layer(x)[0], in_a_loop(cell, x)
    np.testing.assert_allclose(fused.numpy(), by_hand.numpy(), atol=1e-6)
    g = fg.tensor(sequence(19, 6, 5, seed=1))
    found = fg.grad(fused, [x, *layer.parameters()], g)
    want = fg.grad(by_hand, [x, *cell.parameters()], g)
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    options = {"bidirectional": True}
    layer = getattr(fg.nn, kind)(3, 5, 2, **options)
    peer = getattr(torch.nn, kind)(3, 5, 2, batch_first=True, **options)
    peer.load_state_dict({k: torch.tensor(v) for k, v in layer.state_dict().items()})
    values, lengths = sequence(5, 7), np.array([7, 2, 5, 1, 7])
    x, leaf = fg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        leaf, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    for ours, theirs in (
        (layer(x), peer(leaf)),
        (layer(x, lengths=lengths), peer(packed)),
    ):
        states, last = theirs
        if not isinstance(states, torch.Tensor):
            states = torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0]
        ends = zip(*((ours[1], last) if kind == "LSTM" else ((ours[1],), (last,))), strict=True)
        pairs = [(ours[0], states), *ends]
        for a, b in pairs:
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-6)
        total, peer_total = (sum((y * y).sum() for y in ys) for ys in zip(*pairs, strict=True))
        found = fg.grad(total, [x, *layer.parameters()])
        want = torch.autograd.grad(peer_total, [leaf, *peer.parameters()], retain_graph=True)
        names = ["x", *(name for name, _ in layer.named_parameters())]
        assert names[1:] == [name for name, _ in peer.named_parameters()]
        for name, a, b in zip(names, found, want, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_bitwise_the_same_for_any_number_of_threads_and_batch(kind):
    layer = getattr(fg.nn, kind)(7, 33)
    values = sequence(50, 9, 7)
    before, found = fg.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3, 4):
            fg.set_num_threads(n_threads)
            x = fg.tensor(values, requires_grad=True)
            y = layer(x)[0]
            found.append([y, *fg.grad(y.sum(), [x, *layer.parameters()])])
    finally:
        fg.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for rows in (slice(17, 18), slice(3, 40)):
        np.testing.assert_array_equal(layer(fg.tensor(values[rows]))[0], found[0][0].numpy()[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_even_if_it_is_nan(kind):
    layer = getattr(fg.nn, kind)(3, 4, 2, bidirectional=True)
    values, lengths = sequence(3, 6), np.array([6, 2, 4])
    alone = [layer(fg.tensor(values[b : b + 1, :n])) for b, n in enumerate(lengths)]
    values[np.arange(6) >= lengths[:, None]] = np.nan
    states, last = layer(fg.tensor(values), lengths=lengths)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(states.numpy()[b, :n], alone[b][0].numpy()[0], atol=1e-6)
        assert (states.numpy()[b, n:] == 0).all()
        ours, want = (last, alone[b][1]) if kind == "GRU" else (last[0], alone[b][1][0])
        np.testing.assert_allclose(ours.numpy()[:, b], want.numpy()[:, 0], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_may_be_cut_and_continued(kind):
    layer = getattr(fg.nn, kind)(3, 4, 2)
    x = fg.tensor(sequence())
    whole = layer(x)[0].numpy()
    first, state = layer(x[:, :2])
    rest, _ = layer(x[:, 2:], state)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)


def test_nan_stays_in_its_row_and_goes_on_in_time():
    values = sequence()
    values[1, 2, 0] = np.nan
    nan = np.isnan(fg.nn.GRU(3, 4)(fg.tensor(values))[0].numpy()).any(axis=2)
    np.testing.assert_array_equal(nan, [[b == 1 and t >= 2 for t in range(6)] for b in range(4)])


@pytest.mark.parametrize("kind", KINDS)
def test_long_float32_sequences_are_accurate(kind):
    layer, exact = (getattr(fg.nn, kind)(8, 130) for _ in range(2))
    exact.load_state_dict(layer.state_dict())
    for name, p in list(exact.named_parameters()):
        setattr(exact, name, fg.nn.Parameter(p.numpy().astype(np.float64)))
    values = sequence(3, 60, 8) * 3
    x, wide = (fg.tensor(v, requires_grad=True) for v in (values, values.astype(np.float64)))
    y, want = layer(x)[0], exact(wide)[0]
    assert np.linalg.norm(y.numpy() - want.numpy()) <= 1e-5 * np.linalg.norm(want.numpy())
    found = fg.grad(fg.square(y).sum(), [x, *layer.parameters()])
    right = fg.grad(fg.square(want).sum(), [wide, *exact.parameters()])
    for a, b in zip(found, right, strict=True):
        assert np.linalg.norm(a.numpy() - b.numpy()) <= 1e-5 * np.linalg.norm(b.numpy())


def test_a_wrong_shape_is_explained():
    with pytest.raises(fg.errors.ShapeError, match=r"batch axis with x\[None\]"):
        fg.nn.GRU(3, 4)(fg.zeros((5, 3)))
    with pytest.raises(fg.errors.ShapeError, match=r"lengths have shape \(3,\); expected \(4,\)"):
        fg.nn.GRU(3, 4)(fg.tensor(sequence()), lengths=[1, 2, 3])


def test_dropout_between_layers_acts_while_training():
    fg.manual_seed(0)
    layer, x = fg.nn.GRU(3, 4, 2, dropout=0.5), fg.tensor(sequence())
    assert not np.array_equal(layer(x)[0], layer(x)[0])
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0], layer(x)[0])
