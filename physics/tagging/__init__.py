"""Tagging: from jets to a network that tells them apart.

Read `tagger.py` first: a `Tagger` is a trained network with all that is needed to use it::

    inputs       what a network sees of jets, in batches
    losses       classes, regression, decorrelation
    tagger       Tagger: fit, predict, save, load; validation: what is watched meanwhile
    baselines    what a physicist tries first: boosted trees, cuts
    report       a tagger beside them, as text, tables and plots
    tasks        what recipes and commands run
"""
