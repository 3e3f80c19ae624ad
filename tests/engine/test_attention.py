"""Attention, embeddings, bilinear maps, root mean square norms, dropout of channels."""

import numpy as np
import pytest
from scipy import special

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DataError, ShapeError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def attention(q, k, v, mask=None, scale=None):
    """The formula in float64."""
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    return special.softmax(scores, -1) @ v


def test_attention_follows_its_formula():
    q, k, v = normal(2, 3, 4, 5), normal(2, 3, 6, 5, seed=1), normal(2, 3, 6, 7, seed=2)
    seen = np.random.default_rng(3).random((2, 1, 4, 6)) < 0.7
    seen[..., 0] = True
    for mask in (None, seen, normal(4, 6, seed=4)):
        for scale in (None, 0.3):
            got = fg.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
            np.testing.assert_allclose(got.numpy(), attention(q, k, v, mask, scale), rtol=1e-12)
        leaves = [fg.tensor(x, requires_grad=True) for x in (q, k, v)]
        for order in (1, 2):
            fg.gradcheck(
                lambda *x, m=mask: fg.scaled_dot_product_attention(*x, attn_mask=m),
                leaves,
                order=order,
            )
    causal = fg.scaled_dot_product_attention(q, k, v, is_causal=True)
    want = attention(q, k, v, np.tri(4, 6, dtype=bool))
    np.testing.assert_allclose(causal.numpy(), want, rtol=1e-12)


def test_a_bias_of_attention_has_a_gradient():
    leaves = [fg.tensor(x, requires_grad=True) for x in (normal(2, 4, 5), normal(4, 4, seed=1))]
    for order in (1, 2):
        fg.gradcheck(
            lambda x, b: fg.scaled_dot_product_attention(x, x, x, attn_mask=b), leaves, order=order
        )


@pytest.mark.parametrize("mask", [np.array([[True, False], [False, False]]),
                                  np.array([[0.0, -np.inf], [-np.inf, -np.inf]])])  # fmt: skip
def test_a_query_that_sees_nothing_gives_zero_with_zero_gradient(mask):
    leaves = [fg.tensor(normal(2, 3, seed=i), requires_grad=True) for i in range(3)]
    y = fg.scaled_dot_product_attention(*leaves, attn_mask=mask)
    np.testing.assert_array_equal(y.numpy()[1], 0)
    y.sum().backward()
    assert all(np.isfinite(x.grad.numpy()).all() for x in leaves)
    np.testing.assert_array_equal(leaves[0].grad.numpy()[1], 0)


def test_attention_stays_float32_and_takes_empty_keys():
    x = normal(2, 3).astype(np.float32)
    assert fg.scaled_dot_product_attention(x, x, x, attn_mask=normal(2, 2)).dtype == np.float32
    none = np.zeros((0, 3), np.float32)
    got = fg.scaled_dot_product_attention(x, none, none, attn_mask=np.ones((2, 0), bool))
    np.testing.assert_array_equal(got.numpy(), np.zeros((2, 3)))


def test_heads_of_keys_may_be_shared():
    q, k, v = normal(1, 4, 3, 5), normal(1, 2, 6, 5, seed=1), normal(1, 2, 6, 5, seed=2)
    got = fg.scaled_dot_product_attention(q, k, v, enable_gqa=True).numpy()
    want = attention(q, k.repeat(2, axis=1), v.repeat(2, axis=1))
    np.testing.assert_allclose(got, want, rtol=1e-12)
    with pytest.raises(ShapeError, match="cannot share"):
        fg.scaled_dot_product_attention(q[:, :3], k, v, enable_gqa=True)


def test_attention_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"expected \(…, L, E\)"):
        fg.scaled_dot_product_attention(normal(2, 3), normal(2, 4), normal(2, 4))
    with pytest.raises(ValueError, match="not both"):
        fg.scaled_dot_product_attention(*[normal(2, 3)] * 3, attn_mask=normal(2, 2), is_causal=True)


def test_embedding_gives_rows_and_leaves_padding_alone():
    table, index = normal(5, 3), np.array([[1, 4, 1], [0, 2, 4]])
    leaf = fg.tensor(table, requires_grad=True)
    np.testing.assert_array_equal(fg.embedding(index, leaf).numpy(), table[index])
    for options in ({}, {"scale_grad_by_freq": False}):
        for order in (1, 2):
            fg.gradcheck(lambda t, o=options: fg.embedding(index, t, **o) ** 2, [leaf], order=order)
    fg.embedding(index, leaf, padding_idx=-1, scale_grad_by_freq=True).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy()[:, 0], [1, 1, 1, 0, 0])


def test_embedding_shortens_long_rows_in_the_table():
    leaf = fg.tensor(np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]]), requires_grad=True)
    got = fg.embedding([0, 1], leaf, max_norm=1.0).numpy()
    np.testing.assert_allclose(got, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(leaf.numpy()[2], [6.0, 8.0])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings_are_reduced(mode):
    table, index, offsets = normal(6, 3), np.array([1, 4, 1, 0, 2]), [0, 3, 3]
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    want = [reduce(table[[1, 4, 1]], axis=0), np.zeros(3), reduce(table[[0, 2]], axis=0)]
    leaf = fg.tensor(table, requires_grad=True)
    got = fg.embedding_bag(index, leaf, offsets, mode=mode)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    ended = fg.embedding_bag(index, leaf, [*offsets, 5], mode=mode, include_last_offset=True)
    np.testing.assert_array_equal(ended.numpy(), got.numpy())
    rows = fg.embedding_bag(index[:4].reshape(2, 2), leaf, mode=mode, padding_idx=4)
    want = [reduce(table[[1]], axis=0), reduce(table[[1, 0]], axis=0)]
    np.testing.assert_allclose(rows.numpy(), want, rtol=1e-12)
    for order in (1, 2):
        fg.gradcheck(
            lambda t: fg.embedding_bag(index, t, offsets, mode=mode) ** 2, [leaf], order=order
        )


def test_rows_of_bags_may_be_weighted():
    leaves = [fg.tensor(x, requires_grad=True) for x in (normal(6, 3), normal(2, 2, seed=1))]
    index = np.array([[1, 4], [1, 0]])

    def bag(t, w):
        return fg.embedding_bag(index, t, mode="sum", per_sample_weights=w)

    want = (leaves[0].numpy()[index] * leaves[1].numpy()[..., None]).sum(1)
    np.testing.assert_allclose(bag(*leaves).numpy(), want, rtol=1e-12)
    for order in (1, 2):
        fg.gradcheck(bag, leaves, order=order)
    with pytest.raises(DataError, match="weights with 'sum' only"):
        fg.embedding_bag(index, leaves[0], per_sample_weights=leaves[1])
    with pytest.raises(DataError, match="start at 0"):
        fg.embedding_bag([1, 2], leaves[0], [1])


def test_one_hot_codes():
    assert fg.one_hot([[1], [0]], 3).tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    with pytest.raises(DataError, match="0 to 1"):
        fg.one_hot([2], 2)


def test_bilinear_maps():
    arrays = normal(2, 4, 3), normal(2, 4, 2, seed=1), normal(5, 3, 2, seed=2), normal(5, seed=3)
    want = np.einsum("abi,oij,abj->abo", arrays[0], arrays[2], arrays[1]) + arrays[3]
    np.testing.assert_allclose(fg.bilinear(*arrays).numpy(), want, rtol=1e-12)
    leaves = [fg.tensor(x, requires_grad=True) for x in arrays]
    for order in (1, 2):
        fg.gradcheck(fg.bilinear, leaves, order=order)
    with pytest.raises(ShapeError, match="in1, in2"):
        fg.bilinear(*arrays[:2], normal(5, 2, 3))


def test_root_mean_square_and_local_response_norms():
    x, w = normal(2, 6, 4), normal(6, 4, seed=1)
    want = x / np.sqrt((x**2).mean((1, 2), keepdims=True) + 0.1) * w
    np.testing.assert_allclose(fg.rms_norm(x, w, n_axes=2, eps=0.1).numpy(), want, rtol=1e-12)
    near = [np.pad(x**2, ((0, 0), (1, 1), (0, 0)))[:, i : i + 6] for i in range(3)]
    want = x / (2 + 0.5 * sum(near) / 3) ** 0.7
    got = fg.local_response_norm(x, 3, alpha=0.5, beta=0.7, k=2.0).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-12)
    leaves = [fg.tensor(a, requires_grad=True) for a in (x, w)]
    for order in (1, 2):
        fg.gradcheck(lambda a, b: fg.rms_norm(a, b, n_axes=2), leaves, order=order)
        fg.gradcheck(lambda a: fg.local_response_norm(a, 4), leaves[:1], order=order)


def test_dropout_of_whole_channels():
    fg.manual_seed(0)
    y = fg.dropout_channels(np.ones((100, 50, 3)), 0.25).numpy()
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == y[:, :, :1]).all()
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert not fg.dropout_channels(np.ones((2, 3)), 1.0).numpy().any()


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name):
    fg.manual_seed(0)
    x = normal(200, 300, 2)
    y = getattr(fg, name)(x, 0.3).numpy()
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.var() == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="0 <= p <= 1"):
        getattr(fg, name)(x, 1.5)
