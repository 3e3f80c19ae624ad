"""Jets: the domain object of the field, and what physicists compute of it.

Read `batch.py` first: a `JetBatch` holds jets of any length with their weights, labels and
observers::

    batch           JetBatch
    kinematics      four-vectors: momentum, angles, rapidity, mass
    features        columns that follow from the four-vectors alone
    preprocessing   what a network sees of them: input groups, standardized
    substructure    mass, soft-drop mass, N-subjettiness (_clustering.pyx: the algorithm)
    weights         weights with their signs; classes and spectra made alike
"""
