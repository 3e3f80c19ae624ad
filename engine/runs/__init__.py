"""Runs, seen from outside through their folders: lists, reports, the live page, and whole series.

curves    the charts of a run, for the page and the report
listing   which runs there are, how far and how good
report    one self-contained HTML page of a run
live      the page in the browser of a run that trains, and its server
repeat    a run once more, with its knob history
sweep     many runs of one recipe, to compare settings
crossing  the folds of one recipe, judged and joined together
commands  the commands of all these

Nothing here trains; what trains is in engine/train and knows nothing of this.
"""
