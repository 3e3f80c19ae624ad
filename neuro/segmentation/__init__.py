"""Segmentation: from labeled images to a network that labels scans as they come.

Read `segmenter.py` first: a `Segmenter` is a trained network with all that is needed to use it::

    plan        patch size, network and batch from a data set
    patches     cutting them for training, tiling an image with them for prediction
    augment     patches varied as nnU-Net does; synth: made from label maps alone
    losses      Dice with cross-entropy
    train       sources of training pairs, and the fit that all recipes share
    learners    three lines to a trained segmentation
    metrics     overlap, surface distance and volume of each structure
    report      pictures; run_report: what a run shows of itself
    tasks       what recipes and commands run
"""
