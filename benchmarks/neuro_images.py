"""How long the steps around the network take: synthesis, augmentation, resampling, tiling.

Made data only. Run with OPENBLAS_NUM_THREADS=1 to see what one core does.
"""

import platform
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from scipy import ndimage

from fieldgrad.neuro.augment import Augmenter, RotateScale, nnunet_transforms
from fieldgrad.neuro.image import Image
from fieldgrad.neuro.patches import sliding_window
from fieldgrad.neuro.resample import resample, resample_labels
from fieldgrad.neuro.synth import Synthesizer

SHAPE = (160, 192, 160)
PATCH = (96, 96, 96)


def best_time(function: Callable[[], Any], n_runs: int = 7) -> float:
    """Give the best of several runs in seconds."""
    runs = []
    for _ in range(n_runs):
        start = time.perf_counter()
        function()
        runs.append(time.perf_counter() - start)
    return min(runs)


def mean_time(function: Callable[[], Any], n_runs: int = 30) -> float:
    """Give the mean of several runs in seconds, for work that differs from run to run."""
    start = time.perf_counter()
    for _ in range(n_runs):
        function()
    return (time.perf_counter() - start) / n_runs


def head() -> Image:
    """Make a label map of nested shells with 30 labels, each split in four blocks."""
    place = np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] / 2
    radius = np.sqrt((place**2).sum(axis=0))
    block = (place[0] > 0) + 2 * (place[1] > 0)
    labels = np.where(radius < 75, 1 + 4 * (radius // 10) + block, 0)
    return Image(labels.astype(np.uint8), np.eye(4))


def tile_memory() -> tuple[float, float]:
    """Give peak and promised memory, in MB, of tiling with 33 classes and labels only."""
    shape, patch, n_classes = (64, 96, 96), (32, 32, 32), 33
    image = np.zeros((1, *shape), np.float32)
    uniform = np.broadcast_to(np.float32(1 / n_classes), (1, n_classes, *patch))
    tracemalloc.start()
    sliding_window(lambda _: uniform, image, patch, n_classes=n_classes, labels_only=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6, 4 * (n_classes + 1) * patch[0] * shape[1] * shape[2] / 1e6


if __name__ == "__main__":
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, "
          f"SciPy {scipy.__version__}")  # fmt: skip
    rng = np.random.default_rng(0)
    labels = head()
    scan = Image(rng.normal(size=SHAPE).astype(np.float32), np.eye(4))
    synthesize = Synthesizer(patch_size=PATCH)
    transforms = nnunet_transforms(PATCH)
    assert isinstance(transforms[0], RotateScale)
    size = transforms[0].input_size()
    pair = rng.normal(size=(1, *size)).astype(np.float32), np.zeros(size, np.uint8)
    augment = Augmenter(transforms)
    up = (0.8, 0.8, 0.8)
    rows = {
        "synthesize a pair of 96^3, mean": mean_time(lambda: synthesize(labels.data, rng)),
        "augment a patch of 96^3, mean": mean_time(lambda: augment(*pair, rng)),
        "resample 1 -> 0.8 mm, cubic": best_time(lambda: resample(scan, up)),
        "  the same by scipy.ndimage.zoom": best_time(lambda: ndimage.zoom(scan.data, 1.25), 1),
        "resample 32 labels 1 -> 0.8 mm": best_time(lambda: resample_labels(labels, up), 3),
    }
    for name, seconds in rows.items():
        print(f"{name:36s} {1e3 * seconds:8.1f} ms")
    print("tiling: peak {:.1f} MB, promised {:.1f} MB beyond the result".format(*tile_memory()))
