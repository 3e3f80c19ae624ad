"""The CPU's table: kernel name to callable, arrays and attributes in, array out.

An op names its kernel; what runs under that name is decided here and nowhere else. Another device
brings another table, and no op changes. Most entries are C (``base_kernels.pyx`` and its
siblings); where NumPy is already at memory speed (copies, views, indexing, comparisons) or SciPy
has the method (factorizations, special functions) it is used as it is. One file a subject, as in
``ops/``.
"""

from fieldgrad.engine.device import (
    elementwise,
    fft,
    irregular,
    layout,
    linalg,
    norm,
    reduce,
    special,
    windows,
)
from fieldgrad.engine.device.table import Table

__all__ = ["KERNELS"]

KERNELS: Table = {
    **elementwise.KERNELS,
    **layout.KERNELS,
    **reduce.KERNELS,
    **linalg.KERNELS,
    **special.KERNELS,
    **norm.KERNELS,
    **windows.KERNELS,
    **irregular.KERNELS,
    **fft.KERNELS,
}
