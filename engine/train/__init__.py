"""Training: a loop with named events, what takes part in it, and its exact continuation.

learner     Learner: the loop itself and its verbs; begin reading here
events      the events, Callback, CancelBatch, CancelEpoch, CancelFit
budget      "20 epochs", "500 steps" or "10min" to a number of steps
schedules   learning rate and momentum as functions of the progress
metrics     numbers gathered over the batches of a validation
callbacks   schedules applied, clipping, averaging, early stop, checkpoints, signals
batches     mixup, growing images, accumulated gradients, gradual unfreezing
logs        progress, pictures, CSV, TensorBoard, Weights & Biases
bars        the progress bar of a terminal and of a notebook
groups      layer groups: frozen, or trained with rates of their own
finder      the search for a learning rate
terms       a loss of several terms
prediction  predictions for data sets, test-time augmentation, ensembles
folds       cross-validation
knobs       what can be turned while a run trains
run         a run's folder, as seen from outside
record      what the training writes there
replay      a run that repeats another one
precision   products in bfloat16, where that is faster
state       a training to a checkpoint and back

learner imports the others; they know it only as the argument of their methods.
"""

from fieldgrad.engine.train.batches import AccumulateGradient, Mixup, ProgressiveResize, Unfreeze
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
from fieldgrad.engine.train.finder import RateSearch
from fieldgrad.engine.train.folds import CrossValidation, Fold, cross_validate, fold_indices
from fieldgrad.engine.train.groups import layer_groups
from fieldgrad.engine.train.knobs import Knob, Knobs, TurnKnobs, knob_of
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.logs import CSVLog, Pictures, Progress, TensorBoardLog, WandbLog
from fieldgrad.engine.train.metrics import Accuracy, Dice, Mean
from fieldgrad.engine.train.precision import MixedPrecision, choose_precision, products_in
from fieldgrad.engine.train.prediction import Ensemble, Predictions, flips
from fieldgrad.engine.train.record import RunRecord
from fieldgrad.engine.train.run import Run
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
from fieldgrad.engine.train.terms import WeightedTerms

__all__ = [
    "AccumulateGradient",
    "Accuracy",
    "CSVLog",
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "Checkpoint",
    "CrossValidation",
    "Dice",
    "EMAWeights",
    "EarlyStop",
    "Ensemble",
    "Fold",
    "GradientClip",
    "Knob",
    "Knobs",
    "Learner",
    "Mean",
    "MixedPrecision",
    "Mixup",
    "Pictures",
    "PlateauLR",
    "Predictions",
    "Progress",
    "ProgressiveResize",
    "RateSearch",
    "Run",
    "RunRecord",
    "SaveOnSignal",
    "ScheduleLR",
    "StopOnNaN",
    "TensorBoardLog",
    "TurnKnobs",
    "Unfreeze",
    "WandbLog",
    "WeightedTerms",
    "choose_precision",
    "constant",
    "cosine",
    "cosine_restarts",
    "cross_validate",
    "exponential",
    "flips",
    "fold_indices",
    "knob_of",
    "layer_groups",
    "load_weights",
    "one_cycle",
    "one_cycle_momentum",
    "poly",
    "products_in",
    "stairs",
    "warmup",
]
