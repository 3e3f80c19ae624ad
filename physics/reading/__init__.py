"""Reading: from files and the description of an analysis to jets, and scores back to files.

::

    sources       ROOT, HDF5 and Parquet opened as columns
    config        the description of an analysis: weaver-core's YAML, or TOML
    expressions   its formulas, evaluated without eval; functions: what they may call
    columns       columns of a file → jets, as a description says
    streams       the same for many files, in bounded memory
    datasets      layouts that are known without a description
    outputs       scores beside the jets they belong to
"""
