"""Layers as functions: activations, normalization, convolution, pooling, resampling, attention."""

import math

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, LeftOut, composed, loosely

__all__ = ["ENTRIES"]


def _softmax(name):
    def call(x, dim=None, _stacklevel=3, dtype=None, **_):
        x = x if dtype is None else x.astype(dtype)
        if not x.ndim:
            return fg.reshape(getattr(fg, name)(fg.reshape(x, (1,)), axis=0), ())
        return getattr(fg, name)(x, axis=dim)

    return Entry(call)


def _activation(name):
    def call(x, *args, **kwargs):
        kwargs.pop("inplace", None)
        return getattr(fg, name)(x, *args, **kwargs)

    return Entry(call)


def _layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    axes = len(shape)
    if x.dtype == np.float32 and math.prod(shape) == 1:
        raise LeftOut("gradient 0 of one element by itself: ours rounds to 1e-7 / sqrt(eps)")
    return fg.layer_norm(x, weight, bias, n_axes=axes, eps=eps)


def _rms_norm(x, shape, weight=None, eps=None):
    return fg.rms_norm(x, weight, n_axes=len(shape), eps=eps)


def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return fg.group_norm(x, weight, bias, groups=num_groups, eps=eps)


def _instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None,
                   use_input_stats=True, momentum=0.1, eps=1e-5, **_):  # fmt: skip
    return fg.instance_norm(x, weight, bias, eps=eps)


def _batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False,
                momentum=0.1, eps=1e-5, **_):  # fmt: skip
    if x.ndim < 2:
        raise LeftOut("a batch has a channel axis here")
    if training:
        return fg.batch_norm(x, weight, bias, eps=eps)
    return fg.given_norm(x, weight, bias, mean=running_mean.numpy(), var=running_var.numpy(),
                         eps=eps)  # fmt: skip


def _conv(n):
    def call(x, weight, bias=None, *args, **kwargs):
        if x.dtype.kind != "f":
            raise LeftOut("convolution is of real floating numbers")
        return getattr(fg, f"conv{n}d")(x, weight, bias, *args, **kwargs)

    return Entry(call)


def _conv_transpose(n):
    def call(x, weight, bias=None, *args, **kwargs):
        if x.dtype.kind != "f":
            raise LeftOut("convolution is of real floating numbers")
        return getattr(fg, f"conv_transpose{n}d")(x, weight, bias, *args, **kwargs)

    return Entry(call)


def _batched(ndim, x, call):
    """A call on one item without the batch axis is one on a batch of one."""
    if x.ndim == ndim:
        return call(x)
    result = call(fg.expand_dims(x, axis=0))
    if isinstance(result, tuple):
        return tuple(r[0] for r in result)
    return fg.squeeze(result, axis=0)


def _max_pool(n):
    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
             return_indices=False):  # fmt: skip
        stride = None if stride == () or stride == [] else stride
        return _batched(
            n + 2,
            x,
            lambda a: (fg.max_pool_with_indices if return_indices else fg.max_pool)(
                a, kernel_size, stride=stride, padding=padding, dilation=dilation,
                ceil_mode=ceil_mode),
        )  # fmt: skip

    return Entry(call)


def _each(n, *values):
    """Torch takes a list of one number for all axes."""
    return [v * n if isinstance(v, tuple | list) and len(v) == 1 else v for v in values]


def _avg_pool(n):
    def call(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
             divisor_override=None):  # fmt: skip
        stride = None if stride == () or stride == [] else stride
        return _batched(
            n + 2,
            x,
            lambda a: fg.avg_pool(a, *_each(n, kernel_size), stride=_each(n, stride)[0],
                                  padding=_each(n, padding)[0], ceil_mode=ceil_mode,
                                  count_include_pad=count_include_pad,
                                  divisor_override=divisor_override),
        )  # fmt: skip

    return Entry(call)


def _adaptive(name, n):
    def call(x, output_size, return_indices=False):
        chosen = getattr(fg, f"{name}_with_indices" if return_indices else name)
        return _batched(n + 2, x, lambda a: chosen(a, output_size))

    return Entry(call)


def _interpolate(mode):
    def call(x, size=None, scale_factor=None, mode=mode, align_corners=None, **kwargs):
        return fg.interpolate(x, size=size, scale_factor=scale_factor, mode=mode,
                              align_corners=bool(align_corners), **kwargs)  # fmt: skip

    return Entry(call)


def _pad(x, pad, mode="constant", value=0.0):
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    if min(pad, default=0) < 0:
        raise LeftOut("cutting is slicing, not padding")
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return fg.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, mode=mode, value=value or 0.0)


def _attention(q, k, v, attn_mask=None, dropout_p=0.0, **kwargs):
    if dropout_p:
        raise LeftOut("random")
    return fg.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, **kwargs)


def _max_unpool(n):
    def call(x, index, kernel_size, stride=None, padding=0, output_size=None):
        flat = np.reshape(index.numpy(), (math.prod(index.shape[: index.ndim - n]), -1))
        if any(len(np.unique(row)) < row.size for row in flat):
            raise LeftOut("values that share a position: here only the last has a gradient")
        if x.ndim == n + 2:
            return fg.max_unpool(x, index, kernel_size, stride=stride, padding=padding,
                                 output_size=output_size)  # fmt: skip
        return _batched(
            n + 2,
            x,
            lambda a: fg.max_unpool(
                a, index[None], kernel_size, stride=stride, padding=padding, output_size=output_size
            ),
        )

    return Entry(call)


def _softplus(x, beta=1.0, threshold=20.0):
    return fg.where(x * beta > threshold, x, fg.softplus(x * beta) / beta)


def _rrelu(x, lower=1 / 8, upper=1 / 3, training=False):
    if training:
        raise LeftOut("random")
    return fg.rrelu(x, lower, upper)


def _dropout(name, ndim=0):
    def call(x, p=0.5, training=True, inplace=False):
        if not training or not x.ndim:
            return x
        return _batched(ndim or x.ndim, x, lambda a: getattr(fg, name)(a, p))

    return loosely(call)


def _fractional(n):
    def call(x, kernel_size, output_size=None, output_ratio=None, return_indices=False, **_):
        if output_size is None:
            output_size = [int(m * r) for m, r in zip(x.shape[-n:], output_ratio, strict=True)]
        found = _batched(n + 2, x, lambda a: fg.fractional_max_pool(a, kernel_size, output_size))
        return found if return_indices else found[0]

    return loosely(call)


def _gelu(x, approximate="none"):
    return fg.gelu(x) if approximate == "none" else fg.gelu_tanh(x)


def _embedding_bag(weight, index, offsets=None, sparse=False, **kwargs):
    return fg.embedding_bag(index, weight, offsets, **kwargs)


def _embedding(weight, index, sparse=False, **kwargs):
    return fg.embedding(index, weight, **kwargs)


INTERNAL = Absent("internal to torch; the public function is an entry of its own")

ENTRIES = {
    "softmax": _softmax("softmax"),
    "softmax.with_dtype": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "log_softmax.with_dtype": _softmax("log_softmax"),
    "nn.functional.softmin": _softmax("softmin"),
    "nn.functional.softmin.with_dtype": _softmax("softmin"),
    "torch.ops.aten._safe_softmax.default": INTERNAL,
    "_softmax_backward_data": INTERNAL,
    **{
        f"nn.functional.{n}": _activation(n)
        for n in (
            "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "glu",
            "hardswish", "hardsigmoid", "hardtanh", "hardshrink", "softshrink", "softsign",
            "tanhshrink", "threshold", "logsigmoid",
        )
    },
    "nn.functional.gelu": composed(_gelu),
    "nn.functional.softplus": composed(_softplus),
    "nn.functional.prelu": Entry(lambda x, weight: fg.prelu(x, weight)),
    "nn.functional.silu.complex": _activation("silu"),
    "nn.functional.rrelu": Entry(_rrelu),
    "nn.functional.linear": Entry(lambda x, w, b=None: fg.linear(x, w, b)),
    "nn.functional.bilinear": Entry(lambda x, y, w, b=None: fg.bilinear(x, y, w, b)),
    "nn.functional.layer_norm": Entry(_layer_norm),
    "nn.functional.rms_norm": Entry(_rms_norm),
    "nn.functional.group_norm": Entry(_group_norm),
    "nn.functional.instance_norm": Entry(_instance_norm),
    "nn.functional.batch_norm": Entry(_batch_norm),
    "nn.functional.batch_norm.without_cudnn": Entry(_batch_norm),
    "nn.functional.local_response_norm": Entry(
        lambda x, size, alpha=1e-4, beta=0.75, k=1.0: fg.local_response_norm(
            x, size, alpha=alpha, beta=beta, k=k)),
    "native_layer_norm": INTERNAL,
    "native_group_norm": INTERNAL,
    "native_batch_norm": INTERNAL,
    "_native_batch_norm_legit": INTERNAL,
    "_batch_norm_with_update": INTERNAL,
    "nn.functional.normalize": Entry(
        lambda x, p=2.0, dim=1, eps=1e-12: fg.normalize(x, p=p, axis=dim, eps=eps)),
    **{f"nn.functional.conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    **{f"nn.functional.max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"nn.functional.avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)},
    **{
        f"nn.functional.adaptive_{kind}_pool{n}d": _adaptive(f"adaptive_{kind}_pool", n)
        for kind in ("avg", "max")
        for n in (1, 2, 3)
    },
    **{
        f"nn.functional.max_unpool{n}d{kind}": _max_unpool(n)
        for n in (1, 2, 3)
        for kind in ("", ".grad")
    },
    "max_pool2d_with_indices_backward": INTERNAL,
    "nn.functional.fractional_max_pool2d": _fractional(2),
    "nn.functional.fractional_max_pool3d": _fractional(3),
    "nn.functional.unfold": Entry(
        lambda x, kernel_size, dilation=1, padding=0, stride=1: _batched(4, x, lambda a: fg.unfold(
            a, kernel_size, dilation=dilation, padding=padding, stride=stride))),
    "nn.functional.pixel_shuffle": Entry(
        lambda x, upscale_factor: fg.pixel_shuffle(x, upscale_factor)),
    "nn.functional.pixel_unshuffle": Entry(
        lambda x, downscale_factor: fg.pixel_unshuffle(x, downscale_factor)),
    "nn.functional.channel_shuffle": Entry(lambda x, groups: fg.channel_shuffle(x, groups)),
    "nn.functional.grid_sample": Entry(lambda x, grid, **kw: fg.grid_sample(x, grid, **kw)),
    "grid_sampler_2d": INTERNAL,
    "grid_sampler_3d": INTERNAL,
    **{
        f"nn.functional.interpolate.{mode}": _interpolate(mode)
        for mode in (
            "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area",
        )
    },
    "nn.functional.upsample_bilinear": composed(
        lambda x, size=None, scale_factor=None: fg.interpolate(
            x, size=size, scale_factor=scale_factor, mode="bilinear", align_corners=True)),
    "nn.functional.upsample_nearest": Entry(
        lambda x, size=None, scale_factor=None: fg.interpolate(
            x, size=size, scale_factor=scale_factor, mode="nearest")),
    "_upsample_bilinear2d_aa": INTERNAL,
    **{
        f"nn.functional.pad.{mode}": Entry(_pad)
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "nn.functional.pad.replicate_negative": Absent("cutting is slicing, not padding"),
    "nn.functional.scaled_dot_product_attention": Entry(_attention),
    "nn.functional.multi_head_attention_forward": Absent("the layer nn.MultiheadAttention"),
    "torch.ops.aten._flash_attention_forward": INTERNAL,
    "torch.ops.aten._efficient_attention_forward": INTERNAL,
    "nn.functional.one_hot": Entry(lambda x, num_classes=-1: fg.one_hot(x, num_classes)),
    "nn.functional.embedding": Entry(_embedding),
    "nn.functional.embedding_bag": Entry(_embedding_bag),
    "nn.functional.dropout2d": _dropout("dropout_channels", 4),
    "nn.functional.dropout3d": _dropout("dropout_channels", 5),
    "nn.functional.alpha_dropout": _dropout("alpha_dropout"),
    "nn.functional.feature_alpha_dropout.with_train": _dropout("feature_alpha_dropout"),
    "nn.functional.feature_alpha_dropout.without_train": _dropout("feature_alpha_dropout"),
    "native_dropout_backward": INTERNAL,
    "nn.functional.pairwise_distance": Entry(
        lambda x, y, p=2.0, eps=1e-6, keepdim=False: fg.pairwise_distance(
            x, y, p=p, eps=eps, keepdims=keepdim)),
    "nn.functional.cosine_similarity": Entry(
        lambda x, y, dim=1, eps=1e-8: fg.cosine_similarity(
            *(fg.reshape(v, (1,)) if not v.ndim else v for v in (x, y)), axis=dim if x.ndim else 0,
            eps=eps)),
    "nn.functional.pdist": Entry(lambda x, p=2.0: fg.pdist(x, p=p)),
    "jiterator_unary": Absent("for other devices"),
    "jiterator_binary": Absent("for other devices"),
    "jiterator_4inputs_with_extra_args": Absent("for other devices"),
    "jiterator_binary_return_by_ref": Absent("for other devices"),
    "jiterator_2inputs_2outputs": Absent("for other devices"),
}  # fmt: skip
