"""The tutorial on solubility runs from start to end and arrives at the number it states."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path(os.environ.get("FIELDGRAD_DATA", "nowhere"), "chem/moleculenet/esol.csv").exists(),
    reason="needs ESOL: set FIELDGRAD_DATA to the folder with chem/moleculenet/esol.csv",
)
def test_predict_solubility_beats_the_mean(tmp_path):
    pytest.importorskip("pandas", reason="needs the extra test")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra test")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra test")
    notebook = nbformat.read(ROOT / "tutorials" / "03_predict_solubility.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print('rmse:', rmse)"))
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert float(notebook.cells[-1]["outputs"][0]["text"].split(":")[1]) < 0.75
