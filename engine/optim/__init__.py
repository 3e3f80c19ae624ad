"""Optimizers: change parameters in place along their gradients; clipping and averaging.

base      Optimizer: parameters, groups, state, the order of a step; begin reading here
descent   SGD, Lion
adam      Adam, AdamW, NAdam, RAdam
adaptive  RMSprop, Adagrad
muon      Muon
lbfgs     LBFGS, whose step evaluates the loss itself
averages  EMA, Lookahead
plateau   ReduceOnPlateau
clip      clip_grad_norm, clip_grad_value

SGD, Adam and AdamW change all parameters in one call of a kernel that passes over the memory once;
the others are arithmetic in NumPy. All work in the dtype of each parameter, and results do not
depend on the number of threads.
"""

from fieldgrad.engine.optim.adam import Adam, AdamW, NAdam, RAdam
from fieldgrad.engine.optim.adaptive import Adagrad, RMSprop
from fieldgrad.engine.optim.averages import EMA, Lookahead
from fieldgrad.engine.optim.base import Optimizer
from fieldgrad.engine.optim.clip import clip_grad_norm, clip_grad_value
from fieldgrad.engine.optim.descent import SGD, Lion
from fieldgrad.engine.optim.lbfgs import LBFGS
from fieldgrad.engine.optim.muon import Muon
from fieldgrad.engine.optim.plateau import ReduceOnPlateau

__all__ = [
    "EMA",
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "clip_grad_norm",
    "clip_grad_value",
]
