"""Chemistry: under construction.

So far the field only registers itself (`fieldgrad.chem.field`). Molecules, atoms, graphs and
potentials will stand here; nothing of it can be used yet.
"""
