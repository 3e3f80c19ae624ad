"""Tagging: from jets to a network that tells them apart, or estimates a number of each.

Read `model.py` first: a `JetModel` is a trained network with all that is needed to use it::

    inputs       what a network sees of jets, in batches
    losses       classes, regression, decorrelation
    network      a fresh network for given jets
    model        JetModel: fit, save, load; of which there are two:
    tagger       Tagger tells classes apart
    regressor    Regressor estimates, or gives quantiles
    validation   what is watched meanwhile; pictures: how it is shown
    data         jets read into memory, or streamed if they are many
    learners     three lines to a trained network
    baselines    what a physicist tries first: boosted trees, cuts
    report       a model beside them, as text, tables and plots; run_report: as a page
    tasks        what recipes and commands run
"""
