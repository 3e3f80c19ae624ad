"""Particle physics: from files of jets to taggers and their figures.

Read `jets.py` first: a `JetBatch` holds jets of any length with their weights, labels and
observers. How files become jets: `sources.py` opens ROOT, HDF5 and Parquet as columns, `config.py`
reads the description of an analysis (weaver-core's YAML, or TOML), whose formulas are those of
`expressions.py` and `functions.py`; `reading.py` joins the two, `streams.py` does so for many
files in bounded memory. `kinematics.py`, `features.py` and `substructure.py` compute what
physicists look at, `preprocessing.py` makes of it what a network sees, `weights.py` weighs jets,
`outputs.py` writes scores. `generate.py` and `detector.py` make jets where there are none;
`datasets.py` knows layouts.

`models/` are the networks, `losses.py`, `metrics.py` and `plots.py` what is said of them.
"""
