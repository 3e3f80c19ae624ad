"""Chemistry: molecules in, calibrated predictions out; structures in, energies and forces out.

>>> from fieldgrad import chem
>>> predictor = chem.Predictor(descriptors="rdkit2d")
>>> predictor.fit(["CCO", "CCC", …], [-0.3, -1.9, …])  # doctest: +SKIP

The public names are listed in `__init__.pyi` and imported when first used. Two rooms that share the
commands (`cli/`) and nothing else but what they import from below:

- `molecules/` (2-D graphs, from SMILES): begin with `molecules/predictor.py`;
- `potentials/` (3-D positions, from extxyz and the like): begin with `potentials/structures.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
