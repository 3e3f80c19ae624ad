"""Neuroimaging: from an MRI file to a segmentation on the same voxel grid.

>>> from fieldgrad import neuro
>>> scan = neuro.read_image("sub-01_T1w.nii.gz")  # doctest: +SKIP
>>> labels = neuro.Segmenter.load("model.safetensors").predict(scan)  # doctest: +SKIP

The public names are listed in `__init__.pyi` and imported when first used. Where they live:

- `images/`: begin with `images/image.py`; everything here takes and gives Images or plain arrays
  of voxels;
- `segmentation/`: begin with `segmentation/segmenter.py`.

Inside, images are in RAS+ orientation and millimeters.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
