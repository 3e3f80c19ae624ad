"""The neuro field as the engine finds it: its short names, recipes and commands."""

from pathlib import Path

from fieldgrad.engine.field import Field

__all__ = ["field"]

field = Field(
    name="neuro",
    summary="Neuroimaging: segment structures in volumes (MRI, CT) with 3-D U-Nets.",
    names={
        "unet": "fieldgrad.shared_models.unet:UNet",
        "sgd": "fieldgrad.engine.optim:SGD",
        "adam": "fieldgrad.engine.optim:Adam",
        "adamw": "fieldgrad.engine.optim:AdamW",
        "constant": "fieldgrad.engine.train.schedules:constant",
        "cosine": "fieldgrad.engine.train.schedules:cosine",
        "one_cycle": "fieldgrad.engine.train.schedules:one_cycle",
        "poly": "fieldgrad.engine.train.schedules:poly",
        "synthesizer": "fieldgrad.neuro.segmentation.synth:Synthesizer",
        "train_on_dataset": "fieldgrad.neuro.segmentation.tasks:train_on_dataset",
        "segment_template": "fieldgrad.neuro.segmentation.tasks:segment_template",
    },
    recipes=Path(__file__).parent / "recipes",
    commands="fieldgrad.neuro.cli:app",
    extra="fieldgrad[neuro]",
    report="fieldgrad.neuro.segmentation.run_report:report_sections",
    join="fieldgrad.neuro.segmentation.segmenter:join_segmenters",
)
