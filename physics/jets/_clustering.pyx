# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sequential recombination inside jets: what soft drop and N-subjettiness are made of.

Arrays are float64 in C order: four-vectors (n_constituents, 4) as (E, px, py, pz), offsets int64
(n_jets + 1,). The lock is released; nothing is checked. Each jet is clustered by the plain
algorithm that keeps the nearest neighbor of each pseudojet (cost n² for n constituents, typically).
"""
import numpy as np

cimport numpy as cnp
from libc.math cimport M_PI, INFINITY, NAN, atan2, fabs, log, pow, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cnp.import_array()

# A pseudojet on its way: momentum, direction, and its nearest neighbor among those left.
cdef struct Pseudojet:
    double e, px, py, pz, pt2, rapidity, phi
    double distance      # squared, to the nearest neighbor
    double measure       # of the pair with it, times the smaller pt² for the kt algorithm
    ptrdiff_t nearest
    ptrdiff_t node       # its place in the tree


cdef inline void orient(Pseudojet *p) noexcept nogil:
    """Set pt², rapidity and azimuth from the momentum; a negative mass² counts as 0."""
    cdef double mass2
    p.pt2 = p.px * p.px + p.py * p.py
    p.phi = atan2(p.py, p.px) if p.pt2 > 0 else 0.0
    mass2 = p.e * p.e - p.pt2 - p.pz * p.pz
    if mass2 < 0:
        mass2 = 0
    if p.pt2 + mass2 > 0 and p.e + fabs(p.pz) > 0:
        # ½ ln((E + |pz|)² / mT²) has no cancellation.
        p.rapidity = log((p.e + fabs(p.pz)) / sqrt(p.pt2 + mass2))
        if p.pz < 0:
            p.rapidity = -p.rapidity
    else:
        p.rapidity = 1e5 if p.pz >= 0 else -1e5


cdef inline double squared_distance(const Pseudojet *a, const Pseudojet *b) noexcept nogil:
    cdef double phi = fabs(a.phi - b.phi), y = a.rapidity - b.rapidity
    if phi > M_PI:
        phi = 2 * M_PI - phi
    return y * y + phi * phi


cdef inline void measure(Pseudojet *jets, ptrdiff_t i, bint kt) noexcept nogil:
    cdef Pseudojet *p = &jets[i]
    p.measure = p.distance
    if kt and p.nearest >= 0:
        p.measure *= min(p.pt2, jets[p.nearest].pt2)


cdef inline void find_nearest(Pseudojet *jets, ptrdiff_t n, ptrdiff_t i) noexcept nogil:
    cdef ptrdiff_t j
    cdef double d
    jets[i].distance = INFINITY
    jets[i].nearest = -1
    for j in range(n):
        if j != i:
            d = squared_distance(&jets[i], &jets[j])
            if d < jets[i].distance:
                jets[i].distance = d
                jets[i].nearest = j


cdef ptrdiff_t merge_next(Pseudojet *jets, ptrdiff_t n, bint kt, ptrdiff_t node,
                          ptrdiff_t *parents) noexcept nogil:
    """Join the closest pair of n pseudojets; give n - 1. The pair is noted at parents[0] and [1]."""
    cdef ptrdiff_t i, j, k, last = n - 1
    cdef double best = INFINITY, d
    i = 0
    for k in range(n):
        if jets[k].measure < best:
            best = jets[k].measure
            i = k
    j = jets[i].nearest
    if j < 0:  # momenta beyond the range of numbers: any pair will do
        j = last if i < last else 0
    if j < i:
        i, j = j, i
    parents[0] = jets[i].node
    parents[1] = jets[j].node
    jets[i].e += jets[j].e
    jets[i].px += jets[j].px
    jets[i].py += jets[j].py
    jets[i].pz += jets[j].pz
    jets[i].node = node
    orient(&jets[i])
    jets[j] = jets[last]
    n = last
    # Places have changed: j is gone and the last one stands there; i is another pseudojet.
    find_nearest(jets, n, i)
    for k in range(n):
        if k == i:
            continue
        if jets[k].nearest == i or jets[k].nearest == j:
            find_nearest(jets, n, k)
        else:
            if jets[k].nearest == last:
                jets[k].nearest = j
            d = squared_distance(&jets[k], &jets[i])
            if d < jets[k].distance:
                jets[k].distance = d
                jets[k].nearest = i
    # Last, for the smaller pt² of a pair changes with either of the two.
    for k in range(n):
        measure(jets, k, kt)
    return n


cdef void load(Pseudojet *jets, const double *vectors, ptrdiff_t n, bint kt) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(n):
        jets[i].e = vectors[4 * i]
        jets[i].px = vectors[4 * i + 1]
        jets[i].py = vectors[4 * i + 2]
        jets[i].pz = vectors[4 * i + 3]
        jets[i].node = i
        orient(&jets[i])
    for i in range(n):
        find_nearest(jets, n, i)
    for i in range(n):
        measure(jets, i, kt)


def exclusive_axes(const double[:, ::1] vectors, const int64_t[::1] offsets, ptrdiff_t n_most):
    """Give (rapidity, phi) of the last 1 to n_most pseudojets of the kt algorithm.

    The result has shape (n_jets, n_most, n_most, 2): [jet, n - 1, axis]; NaN where a jet has fewer.
    """
    cdef ptrdiff_t n_jets = offsets.shape[0] - 1, jet, n, k, most = 1
    axes_array = np.full((n_jets, n_most, n_most, 2), NAN)
    cdef double[:, :, :, ::1] axes = axes_array
    cdef ptrdiff_t parents[2]
    for jet in range(n_jets):
        most = max(most, offsets[jet + 1] - offsets[jet])
    cdef Pseudojet *jets = <Pseudojet *>malloc(most * sizeof(Pseudojet))
    if jets == NULL:
        raise MemoryError
    with nogil:
        for jet in range(n_jets):
            n = offsets[jet + 1] - offsets[jet]
            if n == 0:
                continue
            load(jets, &vectors[offsets[jet], 0], n, True)
            while n > 0:
                if n <= n_most:
                    for k in range(n):
                        axes[jet, n - 1, k, 0] = jets[k].rapidity
                        axes[jet, n - 1, k, 1] = jets[k].phi
                if n == 1:
                    break
                n = merge_next(jets, n, True, 0, parents)
    free(jets)
    return axes_array


def soft_drop(const double[:, ::1] vectors, const int64_t[::1] offsets, double z_cut, double beta,
              double radius):
    """Give the groomed four-vectors (n_jets, 4): the Cambridge/Aachen tree, soft branches dropped."""
    cdef ptrdiff_t n_jets = offsets.shape[0] - 1, jet, n, left, node, current, a, b, most = 1
    cdef double z, distance
    groomed_array = np.zeros((n_jets, 4))
    cdef double[:, ::1] groomed = groomed_array
    for jet in range(n_jets):
        most = max(most, offsets[jet + 1] - offsets[jet])
    cdef Pseudojet *jets = <Pseudojet *>malloc(most * sizeof(Pseudojet))
    cdef Pseudojet *tree = <Pseudojet *>malloc(2 * most * sizeof(Pseudojet))
    cdef ptrdiff_t *parents = <ptrdiff_t *>malloc(4 * most * sizeof(ptrdiff_t))
    if jets == NULL or tree == NULL or parents == NULL:
        free(jets)
        free(tree)
        free(parents)
        raise MemoryError
    with nogil:
        for jet in range(n_jets):
            n = offsets[jet + 1] - offsets[jet]
            if n == 0:
                continue
            load(jets, &vectors[offsets[jet], 0], n, False)
            for node in range(n):
                tree[node] = jets[node]
            left = n
            node = n
            while left > 1:
                left = merge_next(jets, left, False, node, &parents[2 * node])
                # The new pseudojet took the first of the two places; it is the one of this node.
                for a in range(left):
                    if jets[a].node == node:
                        tree[node] = jets[a]
                        break
                node += 1
            current = node - 1
            while current >= n:
                a = parents[2 * current]
                b = parents[2 * current + 1]
                if tree[b].pt2 > tree[a].pt2:
                    a, b = b, a
                z = sqrt(tree[b].pt2)
                z = z / (z + sqrt(tree[a].pt2)) if z > 0 else 0.0
                distance = sqrt(squared_distance(&tree[a], &tree[b]))
                if z > z_cut * (pow(distance / radius, beta) if beta != 0 else 1.0):
                    break
                current = a
            groomed[jet, 0] = tree[current].e
            groomed[jet, 1] = tree[current].px
            groomed[jet, 2] = tree[current].py
            groomed[jet, 3] = tree[current].pz
    free(jets)
    free(tree)
    free(parents)
    return groomed_array
