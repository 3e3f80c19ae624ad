"""The physics field as the engine finds it: its short names, recipes and commands."""

from pathlib import Path

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="physics",
    summary="Particle physics: tag jets with deep sets, graphs and transformers.",
    names={
        "efn": "fieldgrad.physics.models:EFN",
        "lorentz_net": "fieldgrad.physics.models:LorentzNet",
        "observables_mlp": "fieldgrad.physics.models:ObservablesMLP",
        "particle_net": "fieldgrad.physics.models:ParticleNet",
        "particle_net_lite": "fieldgrad.physics.models:ParticleNetLite",
        "particle_transformer": "fieldgrad.physics.models:ParticleTransformer",
        "pfn": "fieldgrad.physics.models:PFN",
        "cross_entropy": "fieldgrad.physics.tagging.losses:cross_entropy",
        "adam": "fieldgrad.engine.optim:Adam",
        "adamw": "fieldgrad.engine.optim:AdamW",
        "sgd": "fieldgrad.engine.optim:SGD",
        "constant": "fieldgrad.engine.train.schedules:constant",
        "cosine": "fieldgrad.engine.train.schedules:cosine",
        "one_cycle": "fieldgrad.engine.train.schedules:one_cycle",
        "train_regressor": "fieldgrad.physics.tagging.tasks:train_regressor",
        "train_tagger": "fieldgrad.physics.tagging.tasks:train_tagger",
    },
    recipes=Path(__file__).parent / "recipes",
    commands="fieldgrad.physics.cli:app",
    extra="fieldgrad[physics]",
    report="fieldgrad.physics.tagging.run_report:report_sections",
    join="fieldgrad.physics.tagging.model:join_models",
)
