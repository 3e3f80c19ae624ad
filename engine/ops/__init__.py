"""Every op, by subject.

creation    tensor, asarray, zeros, arange, meshgrid, tril, …
dtypes      names, limits, kinds and promotion of dtypes
arithmetic  add … clip, comparisons, where
bitwise     bits and divisors of integers
elementary  exp, log, trigonometry, erf, activations
complex     real, imag, conj
composed    isclose, sinc, lerp, …: elementwise, made of others
layout      reshape, permute_dims, concat, pad, flip, …
arrange     hstack, diag, rot90, sliding_window, …: made of these
reduce      sum, mean, max, logsumexp, …
scans       cumsum, cumprod, linear_scan, cummax, diff, …
statistics  quantile, cov, trapezoid, gradient, bincount, …
sorting     sort, topk, searchsorted, nonzero, isin
sets        unique_values and its like
fft         discrete Fourier transforms
linalg      matmul, linear, einsum
conv        conv, conv_transpose, conv_weight
norm        instance_norm, group_norm, batch_norm, layer_norm
softmax     softmax, log_softmax, cross_entropy and the sums of overlap losses
pool        max_pool
resample    interpolate, avg_pool: sparse linear maps axis by axis
index       getitem and its adjoint, take_along_axis, scatter_add
random      the engine's generator, dropout
"""
