"""Simulation: jets where there are none.

::

    generate          Pythia's events, FastJet's jets; detector: what is measured of them
    fast_simulation   a flow that learns a distribution and draws from it
"""
