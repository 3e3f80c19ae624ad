"""vmap: a function of one example, computed for a whole batch at once.

`vmap` gives its function tensors of one example's shape (`mapped`). Every op on them is computed
for the batch (`mapping`) by a rule of its family (`rules`, `index`), out of ops on whole batches.
The tape records these, so gradients may be taken inside or outside.
"""

from fieldgrad.engine.batching.mapping import vmap

__all__ = ["vmap"]
