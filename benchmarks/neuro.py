"""How long the steps around the network take: synthesis, augmentation, resampling, tiling."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.runner import Row
from fieldgrad.neuro.images.image import Image
from fieldgrad.neuro.images.resample import resample, resample_labels
from fieldgrad.neuro.segmentation.augment import Augmenter, RotateScale, nnunet_transforms
from fieldgrad.neuro.segmentation.patches import sliding_window
from fieldgrad.neuro.segmentation.synth import Synthesizer

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


def rows(threads: int, seconds: float) -> Iterator[Row]:
    """Made data only."""
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

    def row(name: str, seconds: float) -> Row:
        return Row(name, 1e3 * seconds, "ms")

    yield row("synthesize a pair of 96³, mean", mean_time(lambda: synthesize(labels.data, rng)))
    yield row("augment a patch of 96³, mean", mean_time(lambda: augment(*pair, rng)))
    yield row("resample 1 → 0.8 mm, cubic", best_time(lambda: resample(scan, up)))
    yield row("same by scipy.ndimage.zoom", best_time(lambda: ndimage.zoom(scan.data, 1.25), 1))
    yield row("resample 32 labels 1 → 0.8 mm", best_time(lambda: resample_labels(labels, up), 3))
    peak, promised = tile_memory()
    yield Row(f"tiling 33 classes, peak beyond the result (promised {promised:.1f})", peak, "MB")
