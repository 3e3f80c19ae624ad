"""Same seed, same bits: on any number of threads, alone or in a batch."""

import numpy as np
import pytest

import fieldgrad.engine as fg


@pytest.fixture
def threads():
    """A function that sets the number of threads; the old number comes back at the end."""
    before = fg.get_num_threads()
    yield fg.set_num_threads
    fg.set_num_threads(before)


def trained(n_steps=3):
    """The weights of a small net with one layer of most kinds, after some steps."""
    rng = fg.manual_seed(7)
    nn = fg.nn
    model = nn.Sequential(
        nn.Conv(2, 8, (3, 3), padding=1),
        nn.InstanceNorm(8),
        nn.Conv(8, 4, (3, 3), padding=1),
    )
    head = nn.Linear(4 * 24 * 24, 3)
    optimizer = fg.optim.Adam([*model.parameters(), *head.parameters()], lr=1e-2)
    x = fg.tensor(rng.normal(size=(6, 2, 24, 24)), dtype="float32")
    target = rng.integers(0, 3, 6)
    for _ in range(n_steps):
        h = fg.dropout(fg.gelu(model(x)), 0.2)
        loss = fg.cross_entropy(head(fg.flatten(h, start=1)), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return [loss.numpy(), *(p.numpy() for p in (*model.parameters(), *head.parameters()))]


def test_training_gives_the_same_bits_on_any_number_of_threads(threads):
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(trained())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


ROWWISE = {
    "linear": lambda x: fg.linear(x, W),
    "matmul": lambda x: x @ W.T,
    "layer_norm": lambda x: fg.layer_norm(x, n_axes=1),
    "softmax": lambda x: fg.softmax(x, axis=-1),
    "sum": lambda x: fg.sum(x, axis=-1),
    "mean": lambda x: fg.mean(x, axis=-1),
    "cumsum": lambda x: fg.cumsum(x, axis=-1),
    "gelu": fg.gelu,
    "conv": lambda x: fg.conv(fg.reshape(x, (-1, 3, 20, 20)), KERNEL),
    "max_pool": lambda x: fg.max_pool(fg.reshape(x, (-1, 3, 20, 20)), 2),
    "instance_norm": lambda x: fg.instance_norm(fg.reshape(x, (-1, 3, 400))),
}
W = fg.tensor(np.random.default_rng(1).normal(size=(50, 1200)).astype(np.float32))
KERNEL = fg.tensor(np.random.default_rng(2).normal(size=(8, 3, 3, 3)).astype(np.float32))


@pytest.mark.parametrize("name", ROWWISE)
def test_an_example_is_computed_alone_as_in_a_batch(name):
    x = np.random.default_rng(0).normal(size=(37, 1200)).astype(np.float32)
    whole = ROWWISE[name](fg.tensor(x)).numpy()
    for rows in (slice(0, 1), slice(5, 8), slice(20, 37)):
        part = ROWWISE[name](fg.tensor(x[rows])).numpy()
        np.testing.assert_array_equal(part, whole[rows])


def test_random_numbers_come_from_the_generator_that_was_seeded():
    drawn = []
    for _ in range(2):
        fg.manual_seed(3)
        drawn.append((fg.random.normal(5).tolist(), fg.dropout(fg.ones(50)).tolist()))
    assert drawn[0] == drawn[1]
    fg.manual_seed(3)
    np.random.seed(0)  # noqa: NPY002  (NumPy's global state plays no part)
    np.random.normal(size=10)  # noqa: NPY002
    assert fg.random.normal(5).tolist() == drawn[0][0]


def test_accumulation_in_float32_does_not_drift():
    ones = fg.tensor(np.full(10_000_000, 0.1, np.float32))
    exact = float(np.float32(0.1)) * 10_000_000
    assert abs(fg.sum(ones).item() - exact) / exact < 3e-7
    assert abs(fg.mean(ones).item() - float(np.float32(0.1))) < 2e-8
    assert abs(fg.cumsum(ones, axis=0).numpy()[-1] - exact) / exact < 3e-7
