"""Accuracy of the taggers on simulated top and QCD jets."""
