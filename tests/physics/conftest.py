"""Files of made-up jets in every format, for the tests of reading."""

import h5py
import numpy as np
import pytest

from fieldgrad.physics.jets.features import kinematic_columns
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_reference_table

WEAVER = """
### in the format of weaver-core, for trees with the branches of JetClass
selection:
    ### use `&`, `|`, `~` for logical operations
    (jet_pt > 500) & (np.abs(jet_eta) < 2.5)

test_time_selection:
    jet_pt > 400

new_variables:
    part_mask: ak.ones_like(part_energy)
    part_pt: np.hypot(part_px, part_py)
    part_pt_log: np.log(part_pt)
    part_e_log: np.log(part_energy)
    part_logptrel: np.log(part_pt/jet_pt)
    part_logerel: np.log(part_energy/jet_energy)
    part_deltaR: np.hypot(part_deta, part_dphi)

preprocess:
    method: manual
    data_fraction: 0.5

inputs:
    pf_points:
        length: 32
        pad_mode: wrap
        vars:
            - [part_deta, null]
            - [part_dphi, null]
    pf_features:
        length: 32
        pad_mode: wrap
        vars:
            - [part_pt_log, 1.7, 0.7]
            - [part_e_log, 2.0, 0.7]
            - [part_logptrel, -4.7, 0.7]
            - [part_logerel, -4.7, 0.7]
            - [part_deltaR, 0.2, 4.0]
            - [part_charge, null]
            - [part_deta, null]
            - [part_dphi, null]
    pf_vectors:
        length: 32
        pad_mode: wrap
        vars:
            - [part_px, null]
            - [part_py, null]
            - [part_pz, null]
            - [part_energy, null]
    pf_mask:
        length: 32
        pad_mode: constant
        vars:
            - [part_mask, null]

labels:
    type: simple
    value: [label_QCD, label_Tbqq]

observers:
    - jet_pt
    - jet_eta

weights:
    use_precomputed_weights: false
    reweight_method: flat
    reweight_vars:
        jet_pt: [500, 570, 600, 630, 700]
        jet_mass: [0, 100, 300, 1000]
    reweight_classes: [label_QCD, label_Tbqq]
    class_weights: [1, 1]
    reweight_threshold: 10
    reweight_discard_under_overflow: true
"""


@pytest.fixture(scope="session")
def jets():
    """Some made-up jets, with charges."""
    jets = made_up_jets(60, seed=7, n_constituents=20)
    rng = np.random.default_rng(0)
    return jets.replace(features={"charge": rng.integers(-1, 2, len(jets.vectors)).astype("i4")})


@pytest.fixture
def columns(jets):
    """The jets as columns, with the names of JetClass."""
    ak = pytest.importorskip("awkward")
    counts = jets.counts
    flat = dict(zip(("energy", "px", "py", "pz"), jets.vectors.T, strict=True))
    made = kinematic_columns(jets, ["part_deta", "part_dphi"])
    flat |= {name.removeprefix("part_"): column for name, column in made.items()}
    flat["charge"] = jets.features["charge"]
    columns = {
        f"part_{name}": ak.unflatten(np.ascontiguousarray(column), counts)
        for name, column in flat.items()
    }
    columns |= kinematic_columns(jets, ["jet_pt", "jet_eta", "jet_energy", "jet_mass"])
    return columns | {"label_QCD": jets.labels == 0, "label_Tbqq": jets.labels == 1}


@pytest.fixture
def file_of(tmp_path, columns, jets):
    """A function that writes the jets in a format, and gives the path."""

    def write(kind, name="jets"):
        path = tmp_path / f"{name}.{SUFFIX[kind]}"
        if kind in ("ttree", "rntuple"):
            _write_root(path, columns, kind)
        elif kind == "parquet":
            _write_parquet(path, columns)
        elif kind == "table":
            write_reference_table(path, jets)
        elif kind == "structured":
            _write_structured(path, jets)
        else:
            _write_arrays(path, jets)
        return path

    return write


@pytest.fixture
def weaver_file(tmp_path):
    """A data configuration of weaver-core."""
    path = tmp_path / "jetclass.yaml"
    path.write_text(WEAVER)
    return path


SUFFIX = {"ttree": "root", "rntuple": "root", "parquet": "parquet", "table": "h5",
          "structured": "h5", "arrays": "h5"}  # fmt: skip


def _write_root(path, columns, kind):
    uproot = pytest.importorskip("uproot")
    ak = pytest.importorskip("awkward")
    parts = [name for name in columns if name.startswith("part_")]
    record = ak.zip({name.removeprefix("part_"): columns[name] for name in parts})
    others = {name: column for name, column in columns.items() if name not in parts}
    with uproot.recreate(path) as file:
        if kind == "rntuple":
            file.mkrntuple("tree", {"part": record, **others})
        else:
            types = {name: column.dtype for name, column in others.items()}
            file.mktree("tree", {"part": record.type.content, **types})
            file["tree"].extend({"part": record, **others})


def _write_parquet(path, columns):
    """Several row groups, so that ranges of entries cross them."""
    pytest.importorskip("pyarrow")
    ak = pytest.importorskip("awkward")
    ak.to_parquet(ak.zip(columns, depth_limit=1), path, row_group_size=25)


def _write_structured(path, jets):
    """Structured arrays jets and tracks with a flag valid, as ATLAS writes them."""
    dense, mask = jets.to_dense(40)
    parts = ("e", "px", "py", "pz")
    tracks = np.zeros(mask.shape, [*((name, "f4") for name in parts), ("valid", "?")])
    for k, name in enumerate(parts):
        tracks[name] = np.where(mask, dense[..., k], -99)
    tracks["valid"] = mask
    table = np.zeros(len(jets), [("pt", "f4"), ("flavour", "i4")])
    table["pt"], table["flavour"] = jets.pt, jets.labels
    with h5py.File(path, "w") as file:
        file["jets"], file["tracks"] = table, tracks


def _write_arrays(path, jets):
    """Padded arrays as they are, and the names of their features."""
    with h5py.File(path, "w") as file:
        file["Pmu"] = jets.to_dense(40)[0]
        file["is_signal"] = jets.labels
        file["names"] = np.array([b"E", b"px", b"py", b"pz"])
