"""Tables in any of the formats give the same rows, and say what is wrong with broken ones."""

import csv
import gzip

import numpy as np
import pytest

from fieldgrad.chem.molecules.tables import CSVWriter, Table, read_numbers
from fieldgrad.engine.errors import DataError, FileError

Chem = pytest.importorskip("rdkit.Chem", reason="needs the extra chem")

ROWS = [["CCO", "1.5", "first, of two"], ["c1ccccc1", "", 'second "one"']]
TEXT = 'smiles,y,note\nCCO,1.5,"first, of two"\nc1ccccc1,,"second ""one"""\n'


def test_csv_keeps_every_value_as_it_is(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    table = Table(tmp_path / "a.csv")
    assert table.columns == ["smiles", "y", "note"]
    assert list(table.rows()) == ROWS
    assert [len(part) for part in table.parts(1)] == [1, 1]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_delimiter_is_found(tmp_path, delimiter):
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([["smiles", "y", "note"], *ROWS])
    assert list(Table(tmp_path / "a.csv").rows()) == ROWS


def test_gzip_byte_order_mark_and_windows_lines(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert list(Table(tmp_path / "a.csv.gz").rows()) == ROWS


def test_parquet_gives_the_same_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    columns = {"smiles": ["CCO", "c1ccccc1"], "y": [1.5, None], "note": [r[2] for r in ROWS]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert list(Table(tmp_path / "a.parquet").rows()) == ROWS


def test_sdf_gives_smiles_names_and_data_items(tmp_path):
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        for text, name, value in (("CCO", "ethanol", "1.5"), ("C[C@H](N)O", "chiral", "")):
            mol = Chem.MolFromSmiles(text)
            mol.SetProp("_Name", name)
            if value:
                mol.SetProp("y", value)
            writer.write(mol)
    with open(tmp_path / "a.sdf", "a") as file:  # a record that is no molecule
        file.write("broken\n\n\nnonsense\nM  END\n>  <y>\n7\n\n$$$$\n")
    table = Table(tmp_path / "a.sdf")
    assert table.columns == ["smiles", "name", "y"]
    rows = list(table.rows())
    assert rows[0] == ["CCO", "ethanol", "1.5"]
    assert rows[1][0] == Chem.CanonSmiles("C[C@H](N)O")
    assert rows[2] == ["", "broken", "7"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", ["is empty", "header"]),
        ("a.csv", "\n\n", ["blank lines"]),
        ("a.csv", "smiles,y\nCCO,1,2\n", ["row 1", "3 values", "2 columns"]),
        ("a.docx", "x", [".docx", ".csv"]),
    ],
)
def test_broken_tables_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises((DataError, FileError)) as caught:
        list(Table(tmp_path / name).rows())
    assert all(word in str(caught.value) for word in words)


def test_wrong_encoding_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("smiles,naïve\nC,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        list(Table(tmp_path / "a.csv").rows())


def test_damaged_parquet_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(FileError, match="no sound Parquet"):
        Table(tmp_path / "a.parquet")


def test_wrong_column_names_the_nearest(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    with pytest.raises(DataError, match="did you mean 'smiles'"):
        Table(tmp_path / "a.csv").index("SMILES")


@pytest.mark.parametrize("cell", ["1,5", "inf", "high"])
def test_labels_that_are_no_numbers_are_refused(cell):
    with pytest.raises(DataError, match="row 2"):
        read_numbers(["1", cell], "y", "a.csv")


def test_missing_labels_are_nan():
    assert np.isnan(read_numbers(["", "NA", "nan", "None", "null"], "y", "a.csv")).all()


def test_file_appears_only_when_all_rows_are_there(tmp_path):
    def rows():
        yield ["1"]
        raise RuntimeError

    with CSVWriter(tmp_path / "whole.csv", ["a"]) as file:
        file.write([["1"]])
    file = CSVWriter(tmp_path / "out.csv", ["a"])
    with pytest.raises(RuntimeError), file:
        file.write(rows())
    assert [path.name for path in tmp_path.iterdir()] == ["whole.csv"]
