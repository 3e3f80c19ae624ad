"""Laws of the networks: sizes, symmetries, safety, and no influence of other jets or padding."""

from itertools import pairwise

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.physics import models
from fieldgrad.physics.models.particle_transformer import pair_features

COUNTS = np.array([5, 1, 12, 30, 3])
OFFSETS = np.concatenate([[0], COUNTS.cumsum()])
MODELS = ("PFN", "EFN", "ParticleNet", "ParticleNetLite", "ParticleTransformer", "LorentzNet")
PER_JET = ("observables",)


def four_vectors(rng, n):
    """Massless constituents around an axis, GeV."""
    p = rng.normal(size=(n, 3)) * [3.0, 3.0, 6.0] + [20.0, 5.0, 8.0]
    return np.column_stack([np.linalg.norm(p, axis=1), p])


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    n = OFFSETS[-1]
    return {
        "features": rng.normal(size=(n, 7)),
        "points": rng.normal(size=(n, 2)),
        "vectors": four_vectors(rng, n),
        "observables": rng.normal(size=(len(COUNTS), 4)),
        "offsets": OFFSETS,
    }


def build(name, *, observables=False, seed=0, double=True):
    """Make a small network in float64, its batch statistics moved away from 0 and 1."""
    small = {
        "ParticleNet": {"k": (4, 4), "widths": ((8, 8), (16, 16)), "hidden": (8,)},
        "ParticleTransformer": {
            "width": 16, "n_heads": 4, "n_blocks": 2, "embedding": (16, 16), "n_class_blocks": 1,
            "pair_embedding": (8,),
        },
        "LorentzNet": {"width": 8, "n_blocks": 3, "c": 1e-2},
    }.get(name, {})  # fmt: skip
    fg.random.manual_seed(seed)
    sizes = (2,) if name in ("EFN", "LorentzNet") else (7, 2)
    network = getattr(models, name)(*sizes, n_observables=4 * observables, **small)
    rng = np.random.default_rng(seed)
    state = {
        key: (value + 0.1 * np.abs(rng.normal(size=value.shape))).astype(value.dtype)
        for key, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    if double:
        for _, module in network.named_modules():
            for key, value in list(vars(module).items()):
                if isinstance(value, fg.nn.Parameter):
                    setattr(module, key, fg.nn.Parameter(np.asarray(value, np.float64)))
                elif isinstance(value, np.ndarray) and value.dtype == np.float32:
                    setattr(module, key, value.astype(np.float64))
    return network.eval()


def run(network, batch, *, observables=False):
    """Logits of a batch of arrays."""
    kept = {k: fg.tensor(v) for k, v in batch.items() if observables or k not in PER_JET}
    with fg.no_grad():
        return network(kept).numpy()


def take(batch, rows, offsets):
    kept = {k: v if k in PER_JET else v[rows] for k, v in batch.items() if k != "offsets"}
    return kept | {"offsets": offsets}


@pytest.mark.parametrize(
    ("name", "sizes", "n_weights"),
    [
        ("PFN", (7, 2), 82_858),
        ("ParticleNet", (7, 2), 366_160),
        ("ParticleNetLite", (7, 2), 26_416),
        ("ParticleTransformer", (7, 2), 2_141_134),
        ("LorentzNet", (2,), 224_072),
        ("ParticleNet", (17, 10), 370_156),
        ("ParticleTransformer", (17, 10), 2_143_486),
    ],
)
def test_networks_have_the_published_sizes(name, sizes, n_weights):
    # arXiv:1902.09914, 1902.08570 table 4, 2202.03772 table 3, 2201.08187 table 2.
    assert getattr(models, name)(*sizes).n_parameters() == n_weights


@pytest.mark.parametrize("name", MODELS)
def test_order_of_constituents_does_not_matter(name, batch):
    network = build(name)
    rng = np.random.default_rng(1)
    rows = np.concatenate([a + rng.permutation(n) for a, n in zip(OFFSETS, COUNTS, strict=False)])
    mixed = take(batch, rows, OFFSETS)
    np.testing.assert_allclose(run(network, mixed), run(network, batch), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_a_jet_alone_is_tagged_as_in_a_batch(name, batch):
    network = build(name, observables=True)
    together = run(network, batch, observables=True)
    for i in range(len(COUNTS)):
        alone = {
            k: v[i : i + 1] if k in PER_JET else v[OFFSETS[i] : OFFSETS[i + 1]]
            for k, v in batch.items()
        } | {"offsets": np.array([0, COUNTS[i]])}
        found = run(network, alone, observables=True)
        np.testing.assert_allclose(found[0], together[i], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_observables_and_every_weight_matter(name, batch):
    network = build(name, observables=True).train()
    x = {k: fg.tensor(v, requires_grad=k == "observables") for k, v in batch.items()}
    out = network(x)
    assert out.shape == (len(COUNTS), 2)
    fg.sum(out * np.random.default_rng(2).normal(size=out.shape)).backward()
    assert (x["observables"].grad.numpy() != 0).any(axis=1).all()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(parameter.grad.numpy()).all(), key


def boost(vectors, rapidity):
    """Along the beam."""
    e, x, y, z = vectors.T
    cosh, sinh = np.cosh(rapidity), np.sinh(rapidity)
    return np.column_stack([cosh * e + sinh * z, x, y, sinh * e + cosh * z])


def turn(vectors, angle, axes=(1, 2)):
    out = vectors.copy()
    a, b = vectors[:, axes[0]], vectors[:, axes[1]]
    out[:, axes[0]] = np.cos(angle) * a - np.sin(angle) * b
    out[:, axes[1]] = np.sin(angle) * a + np.cos(angle) * b
    return out


@pytest.mark.parametrize("name", ["EFN", "ParticleTransformer", "LorentzNet"])
def test_turning_around_the_beam_changes_nothing(name, batch):
    network = build(name)
    # 2.9 takes some constituents across the line where phi jumps.
    turned = batch | {"vectors": turn(batch["vectors"], 2.9)}
    np.testing.assert_allclose(run(network, turned), run(network, batch), rtol=1e-6, atol=1e-8)


def test_features_of_pairs_do_not_change_under_boosts_along_the_beam(batch):
    v = batch["vectors"]
    p, q = v[:20], v[20:40]
    found = pair_features(*map(fg.tensor, (boost(p, 0.7), boost(q, 0.7)))).numpy()
    np.testing.assert_allclose(found, pair_features(fg.tensor(p), fg.tensor(q)), rtol=1e-8)


def test_lorentz_net_without_beams_does_not_change_under_any_lorentz_transformation(batch):
    fg.random.manual_seed(0)
    network = models.LorentzNet(2, width=8, n_blocks=3, c=1e-2, beams=False).eval()
    for _, module in network.named_modules():
        for key, value in list(vars(module).items()):
            if isinstance(value, fg.nn.Parameter):
                setattr(module, key, fg.nn.Parameter(np.asarray(value, np.float64)))
    v = batch["vectors"]
    other = turn(boost(turn(v, 0.4, (2, 3)), -0.6), 1.1, (1, 3))
    want = run(network, batch)
    np.testing.assert_allclose(run(network, batch | {"vectors": other}), want, rtol=1e-6, atol=1e-8)
    # With beams a boost along them does: they mark the axis.
    beams = build("LorentzNet")
    changed = run(beams, batch | {"vectors": boost(v, 0.5)})
    assert np.abs(changed - run(beams, batch)).max() > 1e-4


def test_efn_is_safe_from_soft_and_collinear_emissions(batch):
    network = build("EFN", double=True)
    v, want = batch["vectors"], run(network, batch)
    rng = np.random.default_rng(3)
    # Every constituent splits into two of its direction.
    z = rng.uniform(0.1, 0.9, len(v))[:, None]
    split = np.stack([z * v, (1 - z) * v], axis=1).reshape(-1, 4)
    found = run(network, {"vectors": split, "offsets": 2 * OFFSETS})
    np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-12)
    # A soft constituent anywhere joins each jet; the change vanishes with its energy.
    changes = []
    for energy in (1e-3, 1e-6):
        soft = energy * four_vectors(rng, len(COUNTS)) / 20
        joined = np.insert(v, OFFSETS[1:], soft, axis=0)
        offsets = OFFSETS + np.arange(len(OFFSETS))
        changes.append(np.abs(run(network, {"vectors": joined, "offsets": offsets}) - want).max())
    assert changes[1] < 1e-2 * changes[0] < 2e-3
    # PFN is not: it counts constituents.
    pfn = build("PFN")
    doubled = {"features": np.repeat(batch["features"], 2, axis=0), "offsets": 2 * OFFSETS}
    assert np.abs(run(pfn, doubled) - run(pfn, batch)).max() > 1e-2


def test_particle_net_is_the_mean_over_brute_force_neighbors(batch):
    network = models.ParticleNet(7, 2, k=(4,), widths=((8, 8),), hidden=(6,), dropout=0.0).eval()
    block = network.blocks[0]
    found = run(network, {k: v.astype(np.float32) if k != "offsets" else v
                          for k, v in batch.items()})  # fmt: skip
    x = batch["features"] / np.sqrt(1 + 1e-5)  # running statistics are 0 and 1
    means = []
    for a, b in pairwise(OFFSETS):
        points, own = batch["points"][a:b], x[a:b]
        new = []
        for i in range(b - a):
            d = ((points - points[i]) ** 2).sum(axis=1)
            d[i] = np.inf
            near = np.argsort(d, kind="stable")[: min(4, b - a - 1)]
            edges = np.concatenate([np.repeat(own[i : i + 1], len(near), 0), own[near] - own[i]], 1)
            y = np.maximum(edges @ np.asarray(block.first).T / np.sqrt(1 + 1e-5), 0)
            y = np.maximum(y @ np.asarray(block.layers[0].weight).T / np.sqrt(1 + 1e-5), 0)
            y = y.mean(axis=0) if len(near) else np.zeros(8)
            short = np.asarray(block.shortcut.weight) @ own[i] / np.sqrt(1 + 1e-5)
            new.append(np.maximum(y + short, 0))
        means.append(np.mean(new, axis=0))
    with fg.no_grad():
        want = network.head(fg.tensor(np.array(means, np.float32))).numpy()
    np.testing.assert_allclose(found, want, rtol=2e-4, atol=2e-5)
