"""Figures as the field quotes them, with errors, for weights of either sign.

::

    metrics         areas, rejections, their errors
    calibration     are the probabilities right
    decorrelation   what a cut does to the mass of the background
    response        bias, resolution and coverage of an estimate
    significance    what a cut is worth, with an uncertain background
    plots           each figure with its numbers as CSV
"""
