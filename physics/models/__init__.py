"""Networks for jets: each maps a batch of jets to the logits of its classes, (n_jets, n_outputs).

A batch is a mapping of names to arrays, of which a model takes those that its ``inputs`` name:

============= ============================ ======================================================
``offsets``    (n_jets + 1,) int64           where the constituents of each jet begin in the rows
``features``   (n_constituents, in_features) standardized features of the constituents
``points``     (n_constituents, 2)           angles to the jet axis, for neighbors
``vectors``    (n_constituents, 4)           four-vectors (E, px, py, pz), GeV
``observables`` (n_jets, n_observables)      standardized observables of the jet as a whole
============= ============================ ======================================================

energy_flow            `PFN` and `EFN`: sums over the constituents
particle_net           `ParticleNet` and `ParticleNetLite`: neighbors among the constituents
particle_transformer   `ParticleTransformer`: attention with the kinematics of pairs
lorentz_net            `LorentzNet`: messages that depend on Lorentz invariants
observables            `ObservablesMLP`: observables of the jet alone
spline_flow            `SplineFlow`, a density to draw from, for fast simulation
"""

from fieldgrad.physics.models.energy_flow import EFN, PFN
from fieldgrad.physics.models.lorentz_net import LorentzNet
from fieldgrad.physics.models.observables import ObservablesMLP
from fieldgrad.physics.models.particle_net import ParticleNet, ParticleNetLite
from fieldgrad.physics.models.particle_transformer import ParticleTransformer

__all__ = [
    "EFN",
    "PFN",
    "LorentzNet",
    "ObservablesMLP",
    "ParticleNet",
    "ParticleNetLite",
    "ParticleTransformer",
]
