# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Pairs of points within a cutoff, found through a grid of cells.

Validated arrays in C order in, arrays out, with the interpreter lock released; `neighbors.py` wraps
atoms into their cell, adds periodic images and documents.
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport cbrt, floor
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc

cnp.import_array()


cdef struct Found:
    Py_ssize_t n, capacity
    int64_t *pairs  # atom, image, atom, image, …


cdef bint append(Found *found, int64_t atom, int64_t image) noexcept nogil:
    """Whether there was memory for it."""
    cdef int64_t *larger
    if found.n == found.capacity:
        larger = <int64_t *>realloc(found.pairs, 4 * found.capacity * sizeof(int64_t))
        if larger == NULL:
            return False
        found.pairs, found.capacity = larger, 2 * found.capacity
    found.pairs[2 * found.n] = atom
    found.pairs[2 * found.n + 1] = image
    found.n += 1
    return True


cdef void grid(const double *points, Py_ssize_t n, double cutoff, double *low, double *edge,
               Py_ssize_t *shape) noexcept nogil:
    """Cells at least a cutoff wide over the points' box, and not many more cells than points."""
    cdef double extent[3]
    cdef double volume = 1.0, widen
    cdef Py_ssize_t i, axis
    for axis in range(3):
        low[axis] = extent[axis] = points[axis]
        for i in range(n):
            low[axis] = min(low[axis], points[3 * i + axis])
            extent[axis] = max(extent[axis], points[3 * i + axis])
        extent[axis] -= low[axis]
        volume *= floor(extent[axis] / cutoff) + 1
    widen = max(1.0, cbrt(volume / (4.0 * n + 64.0)))
    # Far-apart atoms along one axis only need more than the cube root.
    while True:
        volume = 1.0
        for axis in range(3):
            edge[axis] = cutoff * widen
            volume *= floor(extent[axis] / edge[axis]) + 1
        if volume <= 8.0 * n + 64.0:
            break
        widen *= 2.0
    for axis in range(3):
        shape[axis] = <Py_ssize_t>floor(extent[axis] / edge[axis]) + 1


cdef bint search(const double *points, const int64_t *owner, const uint8_t *positive, Py_ssize_t n,
                 Py_ssize_t n_atoms, double cutoff, Found *found) noexcept nogil:
    """Append each pair once; whether there was memory for all."""
    cdef double low[3]
    cdef double edge[3]
    cdef Py_ssize_t shape[3]
    cdef Py_ssize_t place[3]
    cdef Py_ssize_t first[3]
    cdef Py_ssize_t last[3]
    cdef Py_ssize_t i, k, m, axis, a, b, c, cell, n_cells
    cdef double x, y, z, dx, dy, dz, limit = cutoff * cutoff
    cdef bint enough = True
    grid(points, n, cutoff, low, edge, shape)
    n_cells = shape[0] * shape[1] * shape[2]
    cdef Py_ssize_t *cell_of = <Py_ssize_t *>malloc(n * sizeof(Py_ssize_t))
    cdef Py_ssize_t *start = <Py_ssize_t *>malloc((n_cells + 2) * sizeof(Py_ssize_t))
    cdef Py_ssize_t *order = <Py_ssize_t *>malloc(n * sizeof(Py_ssize_t))
    cdef double *ordered = <double *>malloc(3 * n * sizeof(double))
    if cell_of == NULL or start == NULL or order == NULL or ordered == NULL:
        enough = False
    else:
        # A counting sort of the points by cell; start runs one cell ahead while it is filled.
        for k in range(n_cells + 2):
            start[k] = 0
        for i in range(n):
            cell = 0
            for axis in range(3):
                k = <Py_ssize_t>((points[3 * i + axis] - low[axis]) / edge[axis])
                cell = cell * shape[axis] + min(k, shape[axis] - 1)
            cell_of[i] = cell
            start[cell + 2] += 1
        for k in range(2, n_cells + 2):
            start[k] += start[k - 1]
        for i in range(n):
            k = start[cell_of[i] + 1]
            start[cell_of[i] + 1] += 1
            order[k] = i
            for axis in range(3):
                ordered[3 * k + axis] = points[3 * i + axis]
        for i in range(n_atoms):
            x, y, z = points[3 * i], points[3 * i + 1], points[3 * i + 2]
            cell = cell_of[i]
            place[2] = cell % shape[2]
            place[1] = cell // shape[2] % shape[1]
            place[0] = cell // (shape[2] * shape[1])
            for axis in range(3):
                first[axis] = max(place[axis] - 1, 0)
                last[axis] = min(place[axis] + 1, shape[axis] - 1)
            for a in range(first[0], last[0] + 1):
                for b in range(first[1], last[1] + 1):
                    cell = (a * shape[1] + b) * shape[2]
                    # Cells along the last axis follow one another, and so do their points.
                    for m in range(start[cell + first[2]], start[cell + last[2] + 1]):
                        k = order[m]
                        if owner[k] < i or (owner[k] == i and not positive[k]):
                            continue
                        dx, dy, dz = ordered[3 * m] - x, ordered[3 * m + 1] - y, ordered[3 * m + 2] - z
                        if dx * dx + dy * dy + dz * dz < limit:
                            enough = enough and append(found, i, k)
    free(cell_of)
    free(start)
    free(order)
    free(ordered)
    return enough


def half_pairs(const double[:, ::1] points, const int64_t[::1] owner,
               const uint8_t[::1] positive, Py_ssize_t n_atoms, double cutoff):
    """Pairs (pair, 2) of an atom and a point nearer than the cutoff, each once.

    The first n_atoms points are the atoms, the others are images; owner tells whose. A pair of atoms
    is found from the one with the lower number, a pair of an atom with its own image only from
    images that are marked as positive.
    """
    cdef Found found
    cdef bint enough
    cdef Py_ssize_t n = points.shape[0]
    if n == 0:
        return np.empty((0, 2), np.int64)
    found.n, found.capacity = 0, 32 * n_atoms + 16
    found.pairs = <int64_t *>malloc(2 * found.capacity * sizeof(int64_t))
    if found.pairs == NULL:
        raise MemoryError
    with nogil:
        enough = search(&points[0, 0], &owner[0], &positive[0], n, n_atoms, cutoff, &found)
    cdef cnp.ndarray out = np.empty((found.n, 2), np.int64)
    cdef int64_t *target = <int64_t *>cnp.PyArray_DATA(out)
    cdef Py_ssize_t k
    for k in range(2 * found.n):
        target[k] = found.pairs[k]
    free(found.pairs)
    if not enough:
        raise MemoryError
    return out
