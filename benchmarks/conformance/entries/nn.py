"""Layers as functions: activations, normalization, convolution, pooling, resampling, attention."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, composed

__all__ = ["ENTRIES"]


def _softmax(name, sign=1):
    def call(x, dim=None, _stacklevel=3, dtype=None, **_):
        x = x if dtype is None else x.astype(dtype)
        if not x.ndim:
            return fg.reshape(getattr(fg, name)(fg.reshape(x, (1,)), axis=0), ())
        return getattr(fg, name)(x if sign == 1 else -x, axis=dim)

    return Entry(call, composed=sign != 1)


def _activation(name):
    def call(x, *args, **kwargs):
        kwargs.pop("inplace", None)
        return getattr(fg, name)(x, *args, **kwargs)

    return Entry(call)


def _layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    axes = len(shape)
    return fg.layer_norm(x, weight, bias, n_axes=axes, eps=eps)


def _rms_norm(x, shape, weight=None, eps=None):
    return fg.rms_norm(x, weight, n_axes=len(shape), eps=eps)


def _group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return fg.group_norm(x, weight, bias, num_groups=num_groups, eps=eps)


def _instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None,
                   use_input_stats=True, momentum=0.1, eps=1e-5, **_):  # fmt: skip
    return fg.instance_norm(x, weight, bias, eps=eps)


def _batch_norm(x, running_mean=None, running_var=None, weight=None, bias=None, training=False,
                momentum=0.1, eps=1e-5, **_):  # fmt: skip
    if training:
        return fg.batch_norm(x, weight, bias, eps=eps)
    return fg.given_norm(x, weight, bias, mean=running_mean.numpy(), var=running_var.numpy(),
                         eps=eps)  # fmt: skip


def _conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return _batched(
        weight.ndim,
        x,
        lambda a: fg.conv(a, weight, bias, stride=stride, padding=padding, dilation=dilation,
                          groups=groups),
    )  # fmt: skip


def _conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1,
                    dilation=1):  # fmt: skip
    return _batched(
        weight.ndim,
        x,
        lambda a: fg.conv_transpose(a, weight, bias, stride=stride, padding=padding,
                                    output_padding=output_padding, dilation=dilation,
                                    groups=groups),
    )  # fmt: skip


def _batched(ndim, x, call):
    """A call on one item without the batch axis is one on a batch of one."""
    if x.ndim == ndim:
        return call(x)
    result = call(fg.expand_dims(x, axis=0))
    if isinstance(result, tuple):
        return tuple(fg.squeeze(r, axis=0) for r in result)
    return fg.squeeze(result, axis=0)


def _max_pool(n):
    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
             return_indices=False):  # fmt: skip
        stride = None if stride == () or stride == [] else stride
        return _batched(
            n + 2,
            x,
            lambda a: fg.max_pool(a, kernel_size, stride=stride, padding=padding,
                                  dilation=dilation, ceil_mode=ceil_mode,
                                  return_indices=return_indices),
        )  # fmt: skip

    return Entry(call)


def _avg_pool(n):
    def call(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
             divisor_override=None):  # fmt: skip
        stride = None if stride == () or stride == [] else stride
        return _batched(
            n + 2,
            x,
            lambda a: fg.avg_pool(a, kernel_size, stride=stride, padding=padding,
                                  ceil_mode=ceil_mode, count_include_pad=count_include_pad,
                                  divisor_override=divisor_override),
        )  # fmt: skip

    return Entry(call)


def _adaptive(name, n):
    def call(x, output_size, return_indices=False):
        more = {"return_indices": True} if return_indices else {}
        return _batched(n + 2, x, lambda a: getattr(fg, name)(a, output_size, **more))

    return Entry(call)


def _interpolate(mode):
    def call(x, size=None, scale_factor=None, mode=mode, align_corners=None, **_):
        return fg.interpolate(x, size=size, scale_factor=scale_factor, mode=mode,
                              align_corners=bool(align_corners))  # fmt: skip

    return Entry(call)


def _pad(x, pad, mode="constant", value=0.0):
    return fg.nn.functional.pad(x, pad, mode=mode, value=value)


def _attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):
    return fg.scaled_dot_product_attention(q, k, v, mask=attn_mask, is_causal=is_causal,
                                           scale=scale)  # fmt: skip


INTERNAL = Absent("internal to torch; the public function is an entry of its own")
DROPOUT = Absent("a layer of fieldgrad.engine.nn")
RANDOM_WINDOWS = Absent("random windows are not among the poolings")

ENTRIES = {
    "softmax": _softmax("softmax"),
    "softmax.with_dtype": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "log_softmax.with_dtype": _softmax("log_softmax"),
    "nn.functional.softmin": _softmax("softmax", -1),
    "nn.functional.softmin.with_dtype": _softmax("softmax", -1),
    "torch.ops.aten._safe_softmax.default": INTERNAL,
    "_softmax_backward_data": INTERNAL,
    **{
        f"nn.functional.{n}": _activation(n)
        for n in (
            "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "glu",
            "hardswish", "hardsigmoid", "hardtanh", "hardshrink", "softshrink", "softsign",
            "softplus", "tanhshrink", "threshold", "prelu", "logsigmoid",
        )
    },
    "nn.functional.silu.complex": _activation("silu"),
    "nn.functional.rrelu": Absent("random slopes; leaky_relu has a fixed one"),
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
    **{f"nn.functional.conv{n}d": Entry(_conv) for n in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{n}d": Entry(_conv_transpose) for n in (1, 2, 3)},
    **{f"nn.functional.max_pool{n}d": _max_pool(n) for n in (1, 2, 3)},
    **{f"nn.functional.avg_pool{n}d": _avg_pool(n) for n in (1, 2, 3)},
    **{
        f"nn.functional.adaptive_{kind}_pool{n}d": _adaptive(f"adaptive_{kind}_pool", n)
        for kind in ("avg", "max")
        for n in (1, 2, 3)
    },
    **{
        f"nn.functional.max_unpool{n}d{kind}": Absent("not yet in the table")
        for n in (1, 2, 3)
        for kind in ("", ".grad")
    },
    "max_pool2d_with_indices_backward": INTERNAL,
    "nn.functional.fractional_max_pool2d": RANDOM_WINDOWS,
    "nn.functional.fractional_max_pool3d": RANDOM_WINDOWS,
    "nn.functional.unfold": Entry(lambda x, *a, **kw: fg.unfold(x, *a, **kw)),
    "nn.functional.pixel_shuffle": Entry(lambda x, n: fg.pixel_shuffle(x, n)),
    "nn.functional.pixel_unshuffle": Entry(lambda x, n: fg.pixel_unshuffle(x, n)),
    "nn.functional.channel_shuffle": Entry(lambda x, n: fg.channel_shuffle(x, n)),
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
        for mode in ("constant", "reflect", "replicate", "replicate_negative", "circular")
    },
    "nn.functional.scaled_dot_product_attention": Entry(_attention),
    "nn.functional.multi_head_attention_forward": Absent("the layer nn.MultiheadAttention"),
    "torch.ops.aten._flash_attention_forward": INTERNAL,
    "torch.ops.aten._efficient_attention_forward": INTERNAL,
    "nn.functional.one_hot": Entry(lambda x, n=-1: fg.one_hot(x, n)),
    "nn.functional.embedding": Entry(lambda i, weight, **kw: fg.embedding(i, weight, **kw)),
    "nn.functional.embedding_bag": Entry(
        lambda i, weight, *a, **kw: fg.embedding_bag(i, weight, *a, **kw)),
    "nn.functional.dropout2d": DROPOUT,
    "nn.functional.dropout3d": DROPOUT,
    "nn.functional.alpha_dropout": DROPOUT,
    "nn.functional.feature_alpha_dropout.with_train": DROPOUT,
    "nn.functional.feature_alpha_dropout.without_train": DROPOUT,
    "native_dropout_backward": INTERNAL,
    "nn.functional.pairwise_distance": Entry(
        lambda x, y, p=2.0, eps=1e-6, keepdim=False: fg.pairwise_distance(
            x, y, p=p, eps=eps, keepdims=keepdim)),
    "nn.functional.cosine_similarity": Entry(
        lambda x, y, dim=1, eps=1e-8: fg.cosine_similarity(x, y, axis=dim, eps=eps)),
    "nn.functional.pdist": Entry(lambda x, p=2.0: fg.pdist(x, p=p)),
    "jiterator_unary": Absent("for other devices"),
    "jiterator_binary": Absent("for other devices"),
    "jiterator_4inputs_with_extra_args": Absent("for other devices"),
    "jiterator_binary_return_by_ref": Absent("for other devices"),
    "jiterator_2inputs_2outputs": Absent("for other devices"),
}  # fmt: skip
