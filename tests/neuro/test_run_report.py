"""The field's parts of a run's report."""

import csv

import numpy as np
import pytest

from fieldgrad.engine.runs.report import write_report
from fieldgrad.neuro.segmentation.run_report import report_sections
from fieldgrad.neuro.segmentation.tasks import train_on_dataset


def test_a_report_has_data_and_dice_with_intervals(dataset, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run_dir = tmp_path / "run"
    train_on_dataset(dataset, run_dir=run_dir, budget="4 steps", steps_per_epoch=4, base_features=2)
    (run_dir / "recipe.toml").write_text('field = "neuro"\ntask = "train_on_dataset"\n')
    (run_dir / "evaluation").mkdir()
    scores = np.random.default_rng(0).uniform(0.7, 0.9, 12)
    with open(run_dir / "evaluation" / "evaluation.tsv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["case", "label", "name", "dice"])
        writer.writerows([[f"c{k}", 1, "core", score] for k, score in enumerate(scores)])
        writer.writerow(["c0", 3, "box", "n/a"])
    data, dice = report_sections(run_dir)
    assert ("trained on", "3 cases") in data.rows
    [core, box] = dice.rows
    assert core[:3] == ("core", "12", f"{scores.mean():.3f}")
    low, high = (float(number) for number in core[3].split(" to "))
    assert low < scores.mean() < high
    assert high - low < 0.1
    assert box[3] == "n/a"
    page = write_report(run_dir).read_text()
    for text in ("Agreement with the manual labels", "prediction", "data:image/png;base64", "<svg"):
        assert text in page
