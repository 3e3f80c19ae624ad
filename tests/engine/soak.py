"""Many random small calls, for a memory checker to watch.

Run it as ``python tests/engine/soak.py 1000000``.

Every op of the table with its samples, in odd memory layouts and wrong dtypes, forward, backward;
indexing, assignment into views, operators in place, hooks, buffers and DLPack between. What a call
refuses with an error is as good as a result: the point is that no call touches memory that is not
its own. Prints a line each 10,000 calls.

Under valgrind, which then reports only what the dynamic linker does before the first call::

    PYTHONMALLOC=malloc FIELDGRAD_ISA=avx2 valgrind --undef-value-errors=no \
        python tests/engine/soak.py 20000

With the address sanitizer: build with ``-Csetup-args=-Db_sanitize=address`` and
``-Csetup-args=-Db_lundef=false``, then
``LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 python …``.
"""

import argparse
import collections
import faulthandler
import warnings

import numpy as np

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE

# What a call may refuse its arguments with; anything else is a defect.
REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError, BufferError)
REFUSALS += (ArithmeticError, np.linalg.LinAlgError)
DTYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "bool", "complex64"]


def odd_layout(rng, x):
    """The same values in another memory layout."""
    x = np.asarray(x)
    match rng.integers(5) if x.ndim else 0:
        case 1:
            return np.asfortranarray(x)
        case 2:
            return np.flip(np.flip(x).copy())
        case 3:
            wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
            wide[..., ::2] = x
            return wide[..., ::2]
        case 4:
            return np.broadcast_to(x[..., :1], x.shape) if x.size else x
    return x


def tensors(rng, x):
    """A sample's input as a tensor, mostly as it is, sometimes of another dtype."""
    if isinstance(x, (list, tuple)):
        return type(x)(tensors(rng, part) for part in x)
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    x = odd_layout(rng, x)
    if x.dtype.kind == "f":
        kinds = DTYPES[:2] if rng.random() < 0.9 else DTYPES
        x = x.astype(kinds[rng.integers(len(kinds))])
    return fg.tensor(x, requires_grad=x.dtype.kind == "f" and bool(rng.random() < 0.7))


def leaves(inputs):
    for x in inputs:
        if isinstance(x, (list, tuple)):
            yield from leaves(x)
        elif isinstance(x, fg.Tensor):
            yield x


def call_an_op(rng, op, inputs, attributes):
    inputs = tensors(rng, inputs)
    outputs = op(*inputs, **attributes)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    recorded = [y for y in outputs if y.requires_grad and y.size]
    if recorded and rng.random() < 0.5:
        y = recorded[rng.integers(len(recorded))]
        y.backward(np.ones(y.shape, y.dtype), create_graph=bool(rng.random() < 0.1))
        for x in leaves(inputs):
            assert x.grad is None or x.grad.shape == x.shape


def random_index(rng, shape):
    index = []
    for n in shape[: rng.integers(len(shape) + 1)]:
        index.append(
            [
                int(rng.integers(-n - 1, n + 1)),
                slice(*sorted(rng.integers(-n, n + 1, 2).tolist()), int(rng.integers(1, 3))),
                slice(None, None, -1),
                rng.integers(-n, max(n, 1), int(rng.integers(3))),
                rng.random(n) < 0.5,
                None,
            ][rng.integers(6)]
        )
    return tuple(index)


def read_and_write(rng):
    shape = tuple(rng.integers(0, 4, rng.integers(1, 4)).tolist())
    x = fg.tensor(odd_layout(rng, rng.normal(size=shape)), requires_grad=True)
    y = x * 1.0
    views = [y, fg.permute_dims(y, tuple(reversed(range(y.ndim)))), fg.flip(y, axis=0)]
    view = views[rng.integers(3)]
    index = random_index(rng, view.shape)
    part = view[index]
    value = fg.tensor(rng.normal(), requires_grad=True)
    view[index] = value * 2.0 if rng.random() < 0.5 else part
    views[rng.integers(3)] *= 2.0
    hook = y.register_hook(lambda g: g + 1.0) if rng.random() < 0.3 else None
    (y.sum() + views[rng.integers(3)].sum()).backward()
    if hook is not None:
        hook.remove()


def exchange(rng):
    x = fg.tensor(
        odd_layout(rng, rng.normal(size=(3, 4)).astype(DTYPES[rng.integers(len(DTYPES))]))
    )
    seen = [np.asarray(x), np.from_dlpack(x), memoryview(x), fg.from_dlpack(x), x.numpy()[::-1]]
    keep = seen[rng.integers(len(seen))]
    values = np.asarray(keep).copy()
    del x, seen
    assert values.tobytes() == np.asarray(keep).copy().tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("calls", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trace", action="store_true", help="name each call before it is made")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    warnings.simplefilter("ignore")
    samples = {name: list(op.samples(np.random.default_rng(0))) for name, op in TABLE.items()}
    names = [name for name in samples if samples[name]]
    refused = collections.Counter()
    for n in range(1, options.calls + 1):
        if n % 100 == 1:
            faulthandler.dump_traceback_later(300, exit=True)  # a call that does not end
        chance = rng.random()
        name = "read and write" if chance < 0.1 else "exchange" if chance < 0.15 else None
        name = name or names[rng.integers(len(names))]
        if options.trace:
            print(name, flush=True)
        try:
            if name == "read and write":
                read_and_write(rng)
            elif name == "exchange":
                exchange(rng)
            else:
                inputs, attributes = samples[name][rng.integers(len(samples[name]))]
                call_an_op(rng, TABLE[name], inputs, attributes)
        except REFUSALS as error:
            refused[f"{name}: {type(error).__name__}: {str(error)[:90]}"] += 1
        if n % 10_000 == 0 or n == options.calls:
            print(f"{n} calls, {refused.total()} refused", flush=True)
    if options.trace:
        for text, count in refused.most_common():
            print(count, text)


if __name__ == "__main__":
    main()
