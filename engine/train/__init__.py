"""Training: a loop with named events, what takes part in it, and its exact continuation.

learner     Learner: the loop itself; begin reading here
events      the events, Callback, CancelBatch, CancelEpoch, CancelFit
budget      "20 epochs", "500 steps" or "10min" to a number of steps
schedules   learning rate and momentum as functions of the progress
metrics     numbers gathered over the batches of a validation
callbacks   schedules applied, clipping, averaging, early stop, checkpoints
logs        progress bar, CSV, TensorBoard
state       a training to a checkpoint and back

learner imports events, budget, metrics and state; callbacks and logs import learner.
"""

from fieldgrad.engine.train.callbacks import (
    Checkpoint,
    EarlyStop,
    EMAWeights,
    GradientClip,
    PlateauLR,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
)
from fieldgrad.engine.train.events import Callback, CancelBatch, CancelEpoch, CancelFit
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.logs import CSVLog, Progress, TensorBoardLog
from fieldgrad.engine.train.metrics import Accuracy, Dice, Mean
from fieldgrad.engine.train.schedules import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    one_cycle,
    one_cycle_momentum,
    poly,
    stairs,
    warmup,
)
from fieldgrad.engine.train.state import load_weights

__all__ = [
    "Accuracy",
    "CSVLog",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "Checkpoint",
    "Dice",
    "EMAWeights",
    "EarlyStop",
    "GradientClip",
    "Learner",
    "Mean",
    "PlateauLR",
    "Progress",
    "SaveOnSignal",
    "ScheduleLR",
    "StopOnNaN",
    "TensorBoardLog",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "load_weights",
    "one_cycle",
    "one_cycle_momentum",
    "poly",
    "stairs",
    "warmup",
]
