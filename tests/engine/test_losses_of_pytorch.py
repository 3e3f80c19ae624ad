"""Losses with their options, beside PyTorch's values and gradients."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.nn import losses

REDUCTIONS = [{"reduction": r} for r in ("mean", "sum", "none")]


def normal(*shape):
    return np.random.default_rng(shape[0]).normal(size=shape)


def uniform(*shape):
    return np.random.default_rng(sum(shape)).uniform(0.05, 0.95, shape)


def signs(*shape):
    return np.sign(np.random.default_rng(1).normal(size=shape))


def integers(high, *shape):
    return np.random.default_rng(2).integers(0, high, shape)


# Name, differentiable inputs, constant inputs, options in turn. Array options go in as tensors.
CASES = [
    ("mse_loss", [normal(3, 4), uniform(3, 4)], [], [{}]),
    ("l1_loss", [normal(3, 4), uniform(3, 4)], [], [{}, {"weight": uniform(3, 4)}]),
    ("mse_loss", [normal(3, 4), uniform(3, 4)], [], [{"weight": uniform(3, 4)}]),
    ("huber_loss", [2 * normal(3, 4), uniform(3, 4)], [], [{}, {"delta": 0.3}]),
    ("smooth_l1_loss", [2 * normal(3, 4), uniform(3, 4)], [], [{}, {"beta": 0.3}, {"beta": 0.0}]),
    ("binary_cross_entropy", [uniform(3, 4), uniform(4, 3).T], [], [{}, {"weight": uniform(4)}]),
    (
        "binary_cross_entropy_with_logits",
        [normal(3, 4), uniform(3, 4)],
        [],
        [{}, {"weight": uniform(3, 1)}, {"pos_weight": 3 * uniform(4)}],
    ),
    ("soft_margin_loss", [normal(3, 4)], [signs(3, 4)], [{}]),
    ("hinge_embedding_loss", [2 * normal(3, 4)], [signs(3, 4)], [{}, {"margin": 0.4}]),
    ("kl_div", [normal(3, 4), uniform(3, 4)], [], [{}, {"log_target": True}]),
    (
        "poisson_nll_loss",
        [uniform(3, 4), 3 * uniform(3, 4)],
        [],
        [{}, {"log_input": False}, {"full": True}, {"log_input": False, "full": True}],
    ),
    (
        "gaussian_nll_loss",
        [normal(3, 4), normal(4, 3).T, uniform(3, 4)],
        [],
        [{}, {"full": True}, {"eps": 0.5}],
    ),
    ("gaussian_nll_loss", [normal(3, 4), normal(4, 3).T, uniform(3, 1)], [], [{}]),
    ("gaussian_nll_loss", [normal(3, 4), normal(4, 3).T, uniform(3)], [], [{}]),
    (
        "nll_loss",
        [normal(5, 3)],
        [integers(3, 5)],
        [
            {},
            {"weight": uniform(3)},
            {"ignore_index": 1},
            {"ignore_index": 0, "weight": uniform(3)},
        ],
    ),
    ("nll_loss", [normal(2, 3, 4)], [integers(3, 2, 4)], [{}, {"weight": uniform(3)}]),
    (
        "cross_entropy",
        [normal(2, 3, 4)],
        [integers(3, 2, 4)],
        [{}, {"weight": uniform(3), "label_smoothing": 0.2}, {"ignore_index": 1}],
    ),
    (
        "multi_margin_loss",
        [normal(5, 3)],
        [integers(3, 5)],
        [{}, {"p": 2}, {"margin": 0.3, "weight": uniform(3)}],
    ),
    (
        "multilabel_margin_loss",
        [normal(3, 4)],
        [np.array([[1, 3, -1, 0], [-1, 1, 2, 3], [0, 1, 2, 3]])],
        [{}],
    ),
    ("multilabel_margin_loss", [normal(4)], [np.array([2, -1, 1, 1])], [{}]),
    (
        "multilabel_soft_margin_loss",
        [normal(3, 4)],
        [uniform(3, 4)],
        [{}, {"weight": uniform(4)}],
    ),
    ("margin_ranking_loss", [normal(5), uniform(5)], [signs(5)], [{}, {"margin": 0.5}]),
    (
        "cosine_embedding_loss",
        [normal(5, 3), normal(3, 5).T],
        [signs(5)],
        [{}, {"margin": 0.5}],
    ),
    (
        "triplet_margin_loss",
        [normal(5, 3), normal(3, 5).T, uniform(5, 3)],
        [],
        [{}, {"margin": 0.5, "p": 3.0}, {"swap": True, "p": 1.0}],
    ),
]


@pytest.mark.filterwarnings("ignore:reduction")  # kl_div, of PyTorch
@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i][0]}")
def test_losses_are_those_of_pytorch(i):
    torch = pytest.importorskip("torch")
    name, varied, constants, variants = CASES[i]
    for options, reduction in itertools.product(variants, REDUCTIONS):
        leaves = [fg.tensor(x, requires_grad=True) for x in varied]
        loss = getattr(losses, name)(*leaves, *constants, **options, **reduction)
        theirs = [torch.tensor(x, requires_grad=True) for x in varied]
        settings = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        want = getattr(torch.nn.functional, name)(
            *theirs, *map(torch.tensor, constants), **settings, **reduction
        )
        np.testing.assert_allclose(loss.numpy(), want.detach().numpy(), rtol=1e-10, atol=1e-13)
        g = np.random.default_rng(0).normal(size=loss.shape)
        loss.backward(g)
        want.backward(torch.tensor(g))
        for a, b in zip(leaves, theirs, strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i][0]}")
def test_losses_can_be_differentiated_twice(i):
    name, varied, constants, variants = CASES[i]
    for options in variants:
        if "eps" in options:
            continue  # passes the gradient of a variance on that it does not use
        leaves = [fg.tensor(x, requires_grad=True) for x in varied]
        for order in (1, 2):
            fg.gradcheck(
                lambda *xs, o=options: getattr(losses, name)(*xs, *constants, **o),
                leaves,
                order=order,
            )


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc_loss_is_that_of_pytorch(reduction, flat):
    torch = pytest.importorskip("torch")
    logits = normal(9, 4, 5)
    lengths, sizes = [9, 6, 7, 3], [3, 2, 0, 3]
    targets = np.array([[1, 1, 4], [2, 3, 0], [0, 0, 0], [1, 2, 2]])  # the last does not fit
    given = (
        np.concatenate([t[:n] for t, n in zip(targets, sizes, strict=True)]) if flat else targets
    )
    leaf = fg.tensor(logits, requires_grad=True)
    loss = losses.ctc_loss(
        fg.log_softmax(leaf), given, lengths, sizes, reduction=reduction, zero_infinity=True
    )
    theirs = torch.tensor(logits, requires_grad=True)
    want = torch.nn.functional.ctc_loss(
        torch.log_softmax(theirs, -1),
        torch.tensor(given),
        torch.tensor(lengths),
        torch.tensor(sizes),
        reduction=reduction,
        zero_infinity=True,
    )
    np.testing.assert_allclose(loss.numpy(), want.detach().numpy(), rtol=1e-12)
    loss.sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_ctc_loss_sums_over_all_alignments():
    # By brute force: the paths of 4 steps over 3 classes that collapse to the target.
    logits = fg.tensor(normal(4, 3), requires_grad=True)
    p = np.exp(fg.log_softmax(logits).numpy())
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        collapsed = [c for c, before in zip(path, (None, *path), strict=False) if c != before]
        if [c for c in collapsed if c != 2] == [1, 0]:
            total += np.prod(p[range(4), path])
    loss = losses.ctc_loss(fg.log_softmax(logits), [[1, 0]], [4], [2], blank=2, reduction="sum")
    assert loss.item() == pytest.approx(-np.log(total), rel=1e-12)
    for order in (1, 2):
        fg.gradcheck(
            lambda x: losses.ctc_loss(fg.log_softmax(x), [[1, 0]], [4], [2], blank=2),
            [logits],
            order=order,
        )
    lost = losses.ctc_loss(fg.log_softmax(logits), [[1, 1, 1]], [4], [3], blank=2)
    assert lost.item() == np.inf
