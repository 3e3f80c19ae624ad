"""Functions composed of ops map over examples as a loop would, and keep to float32."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.nn import losses


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def positive(*shape):
    return np.random.default_rng(1).uniform(0.05, 0.95, shape)


def integers(high, *shape):
    return np.random.default_rng(2).integers(0, high, shape)


MASK = np.array([[True, False, True], [False, False, False]])
# Arguments with a batch of three examples in front of each.
CASES = {
    "attention": (
        lambda q, k, v: fg.scaled_dot_product_attention(q, k, v, attn_mask=MASK),
        (normal(3, 4, 2, 5), normal(3, 4, 3, 5, seed=1), normal(3, 4, 3, 5, seed=2)),
    ),
    "embedding": (
        lambda i, t: fg.embedding(i, t, padding_idx=1),
        (integers(4, 3, 5), normal(3, 4, 2)),
    ),
    "one_hot": (lambda i: fg.one_hot(i, 4) * 2.0, (integers(4, 3, 5),)),
    "bilinear": (fg.bilinear, (normal(3, 4), normal(3, 2), normal(3, 5, 4, 2))),
    "normalize": (lambda x: fg.normalize(x, p=3), (normal(3, 4, 5),)),
    "pairwise_distance": (fg.pairwise_distance, (normal(3, 4, 5), normal(3, 4, 5, seed=1))),
    "cosine_similarity": (fg.cosine_similarity, (normal(3, 4, 5), normal(3, 4, 5, seed=1))),
    "lp_pool": (lambda x: fg.lp_pool(x, 3, 2), (positive(3, 1, 2, 6),)),
    "adaptive_avg_pool": (lambda x: fg.adaptive_avg_pool(x, 2), (normal(3, 1, 2, 5),)),
    "conv2d": (
        lambda x, w: fg.conv2d(x, w, None, 1, "same"),
        (normal(3, 2, 5, 4), normal(3, 3, 2, 2, 3)),
    ),
    "unfold": (lambda x: fg.unfold(x, 2), (normal(3, 1, 2, 4, 5),)),
    "pixel_shuffle": (lambda x: fg.pixel_shuffle(x, 2), (normal(3, 4, 2, 3),)),
    **{
        f"grid_sample {mode} {outside}": (
            lambda x, g, m=mode, o=outside: fg.grid_sample(x, g, mode=m, padding_mode=o),
            (normal(3, 1, 2, 5, 4), 1.4 * normal(3, 1, 3, 2, 2, seed=1)),
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for outside in ("zeros", "reflection")
    },
    "rms_norm": (fg.rms_norm, (normal(3, 4, 5), normal(3, 5, seed=1))),
    "local_response_norm": (lambda x: fg.local_response_norm(x, 3), (normal(3, 2, 4, 5),)),
    "prelu": (fg.prelu, (normal(3, 2, 4, 5), positive(3, 4))),
    "glu": (fg.glu, (normal(3, 4, 6),)),
    "nll_loss": (
        lambda x, t: losses.nll_loss(x, t, weight=[1.0, 2.0, 3.0], ignore_index=1),
        (normal(3, 4, 3), integers(3, 3, 4)),
    ),
    "multi_margin_loss": (
        lambda x, t: losses.multi_margin_loss(x, t, weight=[1.0, 2.0, 3.0]),
        (normal(3, 4, 3), integers(3, 3, 4)),
    ),
    "binary_cross_entropy": (losses.binary_cross_entropy, (positive(3, 4), positive(3, 4))),
    "gaussian_nll_loss": (
        losses.gaussian_nll_loss,
        (normal(3, 4), normal(3, 4, seed=1), positive(3, 4)),
    ),
    "huber_loss": (losses.huber_loss, (normal(3, 4), normal(3, 4, seed=1))),
    "triplet_margin_loss": (
        losses.triplet_margin_loss,
        (normal(3, 4, 5), normal(3, 4, 5, seed=1), normal(3, 4, 5, seed=2)),
    ),
    "ctc_loss": (
        lambda x: losses.ctc_loss(fg.log_softmax(x), [[1, 2], [2, 0]], [5, 4], [2, 1]),
        (normal(3, 5, 2, 3),),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_map_as_a_loop_does(name):
    function, arguments = CASES[name]
    got = fg.vmap(function)(*arguments).numpy()
    for i, example in enumerate(got):
        want = function(*(fg.tensor(a[i]) for a in arguments)).numpy()
        np.testing.assert_allclose(example, want, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_functions_keep_to_float32(name):
    function, arguments = CASES[name]
    single = [a[0].astype(np.float32) if a.dtype.kind == "f" else a[0] for a in arguments]
    leaves = [fg.tensor(a, requires_grad=a.dtype.kind == "f") for a in single]
    y = function(*leaves)
    assert y.dtype == np.float32
    want = function(*(fg.tensor(a[0]) for a in arguments)).numpy()
    np.testing.assert_allclose(y.numpy(), want, rtol=2e-4, atol=2e-5)
    if y.requires_grad:
        y.sum().backward()
        assert all(x.grad is None or x.grad.dtype == np.float32 for x in leaves)
