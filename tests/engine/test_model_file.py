import numpy as np
import pytest

from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import FileError
from fieldgrad.engine.model_file import ModelFile

SPECTRA = ModelFile("astro.Spectra", "model of spectra", "fieldgrad astro train")


@pytest.fixture
def path(tmp_path):
    SPECTRA.write(tmp_path / "a.safetensors", {"w": np.ones(2)}, {"unit": "nm", "lines": [1, 2]})
    return tmp_path / "a.safetensors"


def test_weights_and_description_return(path):
    with SPECTRA.read(path) as (arrays, description):
        assert description == {"unit": "nm", "lines": [1, 2]}
        np.testing.assert_array_equal(arrays["w"], [1.0, 1.0])


def test_another_kind_is_named(path):
    galaxies = ModelFile("astro.Galaxies", "model of galaxies", "fieldgrad astro sort")
    message = r"a\.safetensors is no model of galaxies \(it holds astro\.Spectra\); expected the"
    with pytest.raises(FileError, match=message), galaxies.read(path):
        pass
    checkpoint.save(path, {"w": np.ones(2)})
    with pytest.raises(FileError, match="is no model of spectra; expected"), SPECTRA.read(path):
        pass


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda arrays, description: arrays["bias"], r"\('bias' is missing\)"),
        (lambda arrays, description: int(description["unit"]), "invalid literal"),
        (lambda arrays, description: description["unit"](), "not callable"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_version_that_wrote_it(path, use, message):
    with (
        pytest.raises(FileError, match=message + ".*written by fieldgrad [0-9]"),
        SPECTRA.read(path) as found,
    ):
        use(*found)


def test_a_damaged_description_is_refused(path):
    checkpoint.save(path, {}, {"kind": SPECTRA.kind, "description": "{"})
    with pytest.raises(FileError, match="of unknown version"), SPECTRA.read(path):
        pass
    checkpoint.save(path, {}, {"kind": SPECTRA.kind})
    with pytest.raises(FileError, match="'description' is missing"), SPECTRA.read(path):
        pass


def test_other_errors_pass_through(path):
    with pytest.raises(ZeroDivisionError), SPECTRA.read(path):
        1 / 0  # noqa: B018
