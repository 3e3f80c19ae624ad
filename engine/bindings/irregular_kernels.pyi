from typing import Any

from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
SEGMENT_KINDS: tuple[str, ...]
MAX_NEIGHBORS: int

def segment(
    kind: str, x: Array, ids: Array, *, num_segments: int, skip_missing: bool = False
) -> Any: ...
def segment_pick(x: Array, index: Array) -> Array: ...
def segment_unpick(g: Array, index: Array, *, n_rows: int) -> Array: ...
def gather(x: Array, index: Array, *, skip_missing: bool = False) -> Array: ...
def pair_messages(
    kind: str, a: Array, b: Array, pairs: Array, *, antisymmetric: bool = False
) -> Array: ...
def cdist(x: Array, y: Array, *, squared: bool = False) -> Array: ...
def knn(
    x: Array,
    mask: Array | None = None,
    *,
    k: int,
    include_self: bool = False,
    offsets: ArrayLike | None = None,
) -> Array: ...
def recurrent(
    gates: Array,
    h: Array,
    c: Array | None,
    weight: Array,
    bias: Array | None = None,
    *,
    reverse: bool = False,
    lengths: Any = None,
) -> tuple[Array, Array]: ...
def recurrent_gradient(
    g: Array,
    h: Array,
    c: Array | None,
    weight: Array,
    out: Array,
    saved: Array,
    *,
    reverse: bool = False,
    lengths: Any = None,
) -> tuple[Array, Array, Array, Array | None]: ...
