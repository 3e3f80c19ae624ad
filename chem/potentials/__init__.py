"""Potentials: structures in, energies, forces, stresses and an ASE calculator out.

Read `structures.py` first: `Structures` are atoms and what was computed for them, in eV and Å::

    io            extxyz, ASE databases, npz, HDF5 → Structures, units converted
    checks        whether the data can be what they say: units, signs, energies that fit forces
    references    energies of atoms, subtracted in float64
    neighbors     pairs within a cutoff, in any cell (_neighbors.pyx: the search)
    graphs        Structures → batches of atoms and pairs
    radial        functions of a distance, with their slopes
    forcefield    what a network must offer; its derivatives: forces and stresses; the loss
    schnet painn  networks: batches → energies of atoms
    domain        what training looked like: when a potential extrapolates
    potential     Potential: networks with all that is needed to use them; model files
    learners      the learner that trains a potential, in one line
    calculator    a potential as ASE uses it
"""
