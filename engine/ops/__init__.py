"""Every op, by subject.

creation    tensor, zeros, ones
arithmetic  add … clip, comparisons, where
elementary  exp, log, trigonometry, erf, activations
layout      reshape, permute_dims, concat, pad, flip, …
reduce      sum, mean, max, cumsum, logsumexp, …
linalg      matmul, linear, einsum
conv        conv, conv_transpose, conv_weight
norm        instance_norm, group_norm, batch_norm, layer_norm
softmax     softmax, log_softmax, cross_entropy and the sums of overlap losses
pool        max_pool
resample    interpolate, avg_pool: sparse linear maps axis by axis
index       getitem and its adjoint, take_along_axis, scatter_add
random      the engine's generator, dropout
"""
