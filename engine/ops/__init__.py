"""Every op, by subject.

The elements of arrays:
creation      tensor, asarray, zeros, arange, meshgrid, tril, …
dtypes        names, limits, kinds and promotion of dtypes
arithmetic    add … clip, rounding, where
comparisons   equal … isclose, logic, NaN and infinity
bitwise       bits and divisors of integers
elementary    exp, log, trigonometry, sigmoid
complex       real, imag, conj
special       the gamma, error and Bessel families, under SciPy's names
random        the engine's generator and what is drawn from it

Their places:
layout        reshape, permute_dims, concat, pad, flip, …
arrange       hstack, diag, rot90, sliding_window, …: made of these
index         getitem and its adjoint, take_along_axis, scatter_add
scatter       scatter, with every way to combine
embedding     rows of a table, one-hot codes
sorting       sort, topk, searchsorted, nonzero, isin
sets          unique_values and its like

What is gathered from many:
reduce        sum, mean, max, logsumexp, …
scans         cumsum, cumprod, linear_scan, cummax, diff, …
statistics    quantile, cov, trapezoid, gradient, bincount, …
segment       sums, means, maxima and softmax over rows that share an id
neighbors     cdist, knn
pairs         sums and products along undirected pairs of rows
distances     normalize, cosine_similarity, pdist
linalg        products, einsum, factorizations, equations, norms
fft           discrete Fourier transforms

What networks are made of:
activations   softplus, silu, gelu, elu, …
rectifiers    relu, leaky_relu, prelu, … of straight pieces
softmax       softmax, log_softmax, cross_entropy and the sums of overlap losses
norm          instance_norm, group_norm, batch_norm, layer_norm
conv          conv, conv_transpose, conv_weight
convnd        the same under PyTorch's names
pool          maxima of windows
resample      interpolate, avg_pool: sparse linear maps axis by axis
fold          windows as columns, pixel_shuffle
grid          sampling at computed positions
attention     scaled_dot_product_attention
bilinear      bilinear maps
recurrent     GRU and LSTM over sequences
dropout       of elements and of channels
"""
