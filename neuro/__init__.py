"""Neuroimaging: from an MRI file to a segmentation on the same voxel grid.

- `images/`: begin with `images/image.py`; everything here takes and gives Images or plain arrays
  of voxels;
- `segmentation/`: begin with `segmentation/segmenter.py`.

Inside, images are in RAS+ orientation and millimeters.
"""
