"""The tutorials run from start to end and arrive at the numbers they state."""

import json
from pathlib import Path

import numpy as np
import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_is_stored_without_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
def test_segment_a_brain_finds_tissue(tmp_path):
    nilearn = pytest.importorskip("nilearn", reason="needs the extra neuro")
    assert nilearn
    nbformat = pytest.importorskip("nbformat", reason="needs the extra test")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    notebook = nbformat.read(TUTORIALS[0], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print('mean dice:', mean_dice)"))
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    text = notebook.cells[-1]["outputs"][0]["text"]
    assert float(text.split(":")[1]) > 0.7  # the tutorial says 0.77


@pytest.mark.slow
def test_tag_top_quarks_arrives_at_a_curve(tmp_path):
    for library in ("awkward", "sklearn", "matplotlib"):
        pytest.importorskip(library, reason="needs the extra physics")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra test")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    from fieldgrad.physics.reading.datasets import made_up_jets
    from fieldgrad.physics.reading.outputs import write_reference_table

    # Made-up jets in place of Pythia's, which take minutes: the notebook uses what is there.
    for i, (name, n) in enumerate((("train", 800), ("val", 200), ("test", 400))):
        jets = made_up_jets(n, seed=i, n_constituents=15)
        wrong = np.random.default_rng(i).random(n) < 0.1  # or they were too easy
        jets = jets.replace(labels=np.where(wrong, 1 - jets.labels, jets.labels))
        write_reference_table(tmp_path / "jets" / f"{name}.h5", jets)
    path = next(path for path in TUTORIALS if path.stem.endswith("tag_top_quarks"))
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert float(code[-1]["outputs"][0]["text"].split()[1]) > 0.75
    assert (tmp_path / "results" / "roc.csv").exists()


@pytest.mark.slow
def test_ethanol_potential_learns_forces(tmp_path):
    for library in ("ase", "tblite", "matplotlib"):
        pytest.importorskip(library, reason="needs the extras chem and xtb")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra test")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    (path,) = [path for path in TUTORIALS if path.stem == "04_ethanol_potential"]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print('force mae:', force_mae)"))
    client = nbclient.NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    text = notebook.cells[-1]["outputs"][0]["text"]
    assert float(text.split(":")[1]) < 200  # of 700 to begin with
