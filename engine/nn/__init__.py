"""Modules, layers and losses.

module   Module, Parameter, Sequential, ModuleList
layers   Linear, Conv, ConvTranspose, normalizations, activations, Dropout
losses   cross_entropy, mse_loss, …
init     initial values
"""
