"""Random numbers: shapes and dtypes are compared, values are not."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, composed, loosely

__all__ = ["ENTRIES"]


def _normal(mean, std=1.0, *_, **__):
    mean = mean if isinstance(mean, fg.Tensor) else fg.tensor(mean).astype(std.dtype)
    return fg.random.Normal(mean, std).sample()


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


def _drawn(name, *parameters):
    """An in-place sampler of torch: values of x's shape and dtype from a distribution."""

    def call(x, *args, **kwargs):
        values = [kwargs.get(p, a) for p, a in zip(parameters, [*args, None, None], strict=False)]
        given = [1.0 if v is None else float(v) for v in values]
        return getattr(fg.random, name)(*given).sample(x.shape).astype(x.dtype)

    return loosely(call)


def _multinomial(p, n, replacement=False, **_):
    return fg.random.choice_of(p, n, replacement=replacement)


DROPOUT_OF_SELUS = "nn.functional.alpha_dropout"

ENTRIES = {
    "normal": loosely(_normal),
    "normal.number_mean": loosely(_normal),
    "normal.in_place": loosely(lambda x, mean=0.0, std=1.0: fg.random.normal(
        x.shape, mean=mean, std=std, dtype=x.dtype)),
    "uniform": loosely(lambda x, low=0.0, high=1.0, **_: fg.random.uniform(
        x.shape, low=low, high=high, dtype=x.dtype)),
    "bernoulli": loosely(lambda p, **_: fg.random.Bernoulli(p).sample()),
    "exponential": loosely(lambda x, rate=1.0, **_: fg.random.exponential(
        x.shape, rate=rate, dtype=x.dtype)),
    "cauchy": Absent("heavy tails: tan of a uniform angle says it"),
    "geometric": Absent("not among the distributions yet"),
    "log_normal": composed(lambda x, mean=1.0, std=2.0: fg.exp(
        fg.random.normal(x.shape, mean=mean, std=std, dtype=x.dtype))),
    "randn": loosely(_randn),
    "randn_like": loosely(_like("normal")),
    "rand_like": loosely(_like("uniform")),
    "randint": loosely(_randint),
    "randint_like": loosely(_randint_like),
    "multinomial": Absent("Categorical(probs).sample(shape) draws with replacement"),
    "nn.functional.dropout": loosely(lambda x, p=0.5, training=True, **_: fg.dropout(x, p)
                                     if training else x),
}  # fmt: skip
