"""Pictures: made without a display, tissue where tissue is, left where it is said to be."""

import sys

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError, MissingExtra
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.segmentation.report import plot_curves, plot_overlay


def head(orientation="RAS"):
    """A bright block on the left, labeled; anisotropic."""
    data = np.zeros((30, 40, 12), np.float32)
    data[5:25, 5:35, 2:10] = 50
    data[6:12, 10:30, 3:9] = 100
    affine = np.diag([2.0, 2.0, 6.0, 1.0])
    affine[0, 3] = -30
    image = Image(data, affine)
    labels = image.with_data((data == 100).astype(np.uint8), {1: "left block", 2: "absent"})
    return image.reorient(orientation), labels.reorient(orientation)


def read(path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.image import imread

    return imread(path)[..., :3]


def blue_center(path):
    """Mean horizontal place, 0 to 1, of the first label's color in the axial overlay."""
    pixels = read(path)
    pixels = pixels[len(pixels) // 2 : int(len(pixels) * 0.9), : pixels.shape[1] // 4]
    blue = pixels[..., 2] - pixels[..., 0] > 0.15
    assert blue.sum() > 100
    return np.argwhere(blue)[:, 1].mean() / pixels.shape[1]


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR"])
def test_left_is_drawn_left_or_right_as_asked(tmp_path, orientation):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    image, labels = head(orientation)
    plot_overlay(image, labels, tmp_path / "a.png")
    plot_overlay(image, labels, tmp_path / "b.png", radiological=True)
    assert blue_center(tmp_path / "a.png") < 0.5 < blue_center(tmp_path / "b.png")


def test_the_whole_picture_does_not_depend_on_the_array_order(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    plot_overlay(*head("RAS"), tmp_path / "a.png", title="case 1")
    plot_overlay(*head("PIL"), tmp_path / "b.png", title="case 1")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), read(tmp_path / "b.png"))


def test_an_empty_label_map_is_drawn_too(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    image, labels = head()
    plot_overlay(image, labels.with_data(labels.data * 0), tmp_path / "a.png")
    assert read(tmp_path / "a.png").size > 0


def test_curves_leave_out_what_was_not_measured(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    curves = {
        "loss": {"training": ([1, 2, 3], [3.0, 2, 1])},
        "Dice": {"left": ([1, 2], [0.5, np.nan])},
    }
    plot_curves(curves, tmp_path / "c.png", title="run")
    assert read(tmp_path / "c.png").size > 0
    with pytest.raises(DataError, match="nothing to draw"):
        plot_curves({}, tmp_path / "d.png")


def test_no_global_state_of_matplotlib_is_touched(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    sys.modules.pop("matplotlib.pyplot", None)
    plot_overlay(*head(), tmp_path / "a.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_what_cannot_be_drawn_is_explained(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    image, labels = head()
    with pytest.raises(DataError, match="not on one grid"):
        plot_overlay(image, labels.crop((0, 0, 0), (5, 5, 5)), tmp_path / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="was not written"):
        plot_overlay(image, labels, tmp_path / "file" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"fieldgrad\[neuro\]"):
        plot_overlay(image, labels, tmp_path / "a.png")
