"""Differentiation as functions.

`recording` says whether ops are recorded; `gradients` goes back through what was; `derivatives`
makes functions that return gradients, Jacobians and Hessians of functions; `check` compares
gradients with differences; `recompute` trades time for memory;
`custom` makes ops of one's own.
"""

from fieldgrad.engine.autograd.check import gradcheck
from fieldgrad.engine.autograd.custom import custom_op
from fieldgrad.engine.autograd.derivatives import hessian, hvp, jacobian, jvp, value_and_grad, vjp
from fieldgrad.engine.autograd.gradients import grad
from fieldgrad.engine.autograd.recompute import recompute
from fieldgrad.engine.autograd.recording import detect_anomaly, enable_grad, no_grad

__all__ = [
    "custom_op",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "recompute",
    "value_and_grad",
    "vjp",
]
