"""Random numbers: shapes and dtypes are compared, values are not."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, LeftOut, loosely

__all__ = ["ENTRIES"]


def _normal(mean, std=1.0, *_, **__):
    return fg.distributions.Normal(mean, std).sample()


def _number_mean(mean, std=1.0, *_, **__):
    if not isinstance(std, fg.Tensor):
        raise LeftOut("a normal distribution of two numbers and a shape: random.normal")
    return fg.distributions.Normal(mean, std).sample()


def _exponential(x, rate=1.0, **_):
    return fg.distributions.Exponential(rate).sample(x.shape).astype(x.dtype)


def _randn(*shape, dtype=None, **_):
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    return fg.random.normal(shape, dtype=dtype or "float32")


def _like(name):
    def call(x, *, dtype=None, **_):
        return getattr(fg.random, name)(x.shape, dtype=dtype or x.dtype)

    return call


def _randint(*args, dtype=None, **_):
    low, high, shape = args if len(args) == 3 else (0, *args)
    return fg.random.integers(low, high, shape, dtype=dtype or "int64")


def _randint_like(x, *args, dtype=None, **_):
    low, high = args if len(args) == 2 else (0, *args)
    return fg.random.integers(low, high, x.shape, dtype=dtype or x.dtype)


def _cauchy(x, median=0.0, sigma=1.0, **_):
    return fg.distributions.Cauchy(median, sigma).sample(x.shape).astype(x.dtype)


def _geometric(x, p, **_):
    return (fg.distributions.Geometric(p).sample(x.shape) + 1.0).astype(x.dtype)


def _log_normal(x, mean=1.0, std=2.0, **_):
    return fg.distributions.LogNormal(mean, std).sample(x.shape).astype(x.dtype)


ENTRIES = {
    "normal": loosely(_normal),
    "normal.number_mean": loosely(_number_mean),
    "normal.in_place": loosely(lambda x, mean=0.0, std=1.0: fg.random.normal(
        x.shape, mean=mean, std=std, dtype=x.dtype)),
    "uniform": loosely(lambda x, low=0.0, high=1.0, **_: fg.random.uniform(
        x.shape, low=low, high=high, dtype=x.dtype)),
    "bernoulli": loosely(lambda p, **_: fg.distributions.Bernoulli(p).sample()),
    "exponential": loosely(_exponential),
    "cauchy": loosely(_cauchy),
    "geometric": loosely(_geometric),
    "log_normal": loosely(_log_normal),
    "randn": loosely(_randn),
    "randn_like": loosely(_like("normal")),
    "rand_like": loosely(_like("uniform")),
    "randint": loosely(_randint),
    "randint_like": loosely(_randint_like),
    "multinomial": Absent("Categorical(probs).sample(shape) draws with replacement"),
    "nn.functional.dropout": loosely(lambda x, p=0.5, training=True, **_: fg.dropout(x, p)
                                     if training else x),
}  # fmt: skip
