"""Chemistry: molecules in, calibrated predictions out; structures in, energies and forces out.

Two rooms that share the commands (`cli/`) and nothing else but what they import from below:

- `molecules/` (2-D graphs, from SMILES): begin with `molecules/predictor.py`;
- `potentials/` (3-D positions, from extxyz and the like): begin with `potentials/structures.py`.
"""
