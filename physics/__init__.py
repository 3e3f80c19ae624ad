"""Particle physics: under construction.

So far the field only registers itself (`fieldgrad.physics.field`). Jets, their features, weights
and models will stand here; nothing of it can be used yet.
"""
