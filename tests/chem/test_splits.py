"""Splits divide everything once, repeat with their seed, and keep copies together."""

import json
from functools import partial

import numpy as np
import pytest

from fieldgrad.chem.molecules.descriptors import describe
from fieldgrad.chem.molecules.featurize import featurize
from fieldgrad.chem.molecules.smiles import read_smiles
from fieldgrad.chem.molecules.splits import (
    Split,
    column_split,
    group_numbers,
    kmeans_split,
    random_split,
    scaffold_split,
    straddling,
)
from fieldgrad.engine.errors import DataError, FileError

pytest.importorskip("rdkit", reason="needs the extra chem")


@pytest.fixture
def molecules(smiles):
    return featurize([*smiles, *reversed(smiles)], identity=True)  # each molecule twice


def divide(kind, molecules, seed):
    groups = group_numbers(molecules.canonical)
    if kind == "random":
        return random_split(groups, seed=seed), groups
    if kind == "scaffold":
        return scaffold_split(molecules.scaffolds, groups, seed=seed), groups
    pytest.importorskip("sklearn", reason="needs the extra chem")
    bits = describe([read_smiles(s) for s in molecules.canonical], "morgan")
    return kmeans_split(bits, groups, seed=seed), groups


@pytest.mark.parametrize("kind", ["random", "scaffold", "kmeans"])
def test_split_divides_everything_and_keeps_copies_together(kind, molecules):
    split, groups = divide(kind, molecules, 0)
    every = np.sort(np.concatenate(list(split.parts().values())))
    np.testing.assert_array_equal(every, np.arange(len(molecules)))
    assert straddling(split, groups) == 0
    assert len(split.train) > len(split.test) > 0
    assert len(split.val) > 0


@pytest.mark.parametrize("kind", ["random", "scaffold"])
def test_seed_repeats_a_split(kind):
    groups = np.arange(300)
    scaffolds = [str(i // 3) for i in groups]
    by_seed = {"random": random_split, "scaffold": partial(scaffold_split, scaffolds)}[kind]
    parts = [by_seed(groups, seed=seed).test.tolist() for seed in (0, 0, 1)]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]


def test_scaffolds_do_not_straddle(molecules):
    split, _ = divide("scaffold", molecules, 3)
    parts = [{molecules.scaffolds[i] for i in part} for part in split.parts().values()]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_random_split_has_the_sizes_asked_for():
    split = random_split(np.arange(1000), (0.7, 0.2, 0.1))
    assert [len(part) for part in split.parts().values()] == [700, 200, 100]


def test_split_survives_its_file(tmp_path):
    split = random_split(np.arange(50), seed=4)
    split.save(tmp_path / "split.json")
    again = Split.load(tmp_path / "split.json", 50)
    for part, other in zip(split.parts().values(), again.parts().values(), strict=True):
        np.testing.assert_array_equal(part, other)


def test_rows_without_a_molecule_are_left_out_and_counted_back():
    rows = np.array([0, 2, 3, 5])
    split = Split(np.array([0, 1, 2]), np.array([3]), np.array([4, 5]))
    within = split.within(rows)
    assert [part.tolist() for part in within.parts().values()] == [[0, 1], [2], [3]]
    assert within.of(rows).test.tolist() == [5]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("no json", FileError, "JSON"),
        ('{"train": [0]}', DataError, "no split"),
        ('{"train": [0, 99], "test": [1]}', DataError, "row 99"),
        ('{"train": [0, 1], "test": [1]}', DataError, "two parts"),
    ],
)
def test_files_that_are_no_split_are_refused(tmp_path, content, error, words):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(error, match=words):
        Split.load(tmp_path / "split.json", 10)


def test_list_of_one_split_is_that_split(tmp_path):
    content = [{"train": [2, 0], "val": [], "test": [1]}]
    (tmp_path / "split.json").write_text(json.dumps(content))
    assert Split.load(tmp_path / "split.json", 3).train.tolist() == [0, 2]


def test_column_says_the_split():
    split = column_split(["train", "Valid", "test", "", "training"], "fold")
    assert [part.tolist() for part in split.parts().values()] == [[0, 4], [1], [2]]
    with pytest.raises(DataError, match="row 2"):
        column_split(["train", "fold 3"], "fold")


def test_too_few_molecules_are_refused():
    with pytest.raises(DataError, match="leaves none for"):
        scaffold_split(["a", "a"], np.array([0, 1]))
    with pytest.raises(DataError, match="sum to 1"):
        random_split(np.arange(9), (0.5, 0.1, 0.1))


def test_given_split_with_copies_apart_is_noticed():
    split = Split(np.array([0]), np.array([1]), np.array([2]))
    assert straddling(split, np.array([0, 1, 0])) == 1
