"""NumPy arrays in, C kernels, NumPy arrays out: the compiled modules around ``kernels/``.

No policy lives here: which op calls which kernel is said in ``device/``, shapes are checked by the
ops. Each wrapper allocates its output from the buffer pool and releases the interpreter lock
around the C call.

base_kernels       memory, layout, threads and instruction set, elementwise, reductions
linalg_kernels     matrix products and what is made of them
nn_kernels         convolution, pooling, resampling
norm_kernels       normalizations, softmax, losses
irregular_kernels  segments, gathering, neighbors, pairs, recurrent layers
optim_kernels      steps of optimizers over many arrays at once
"""
