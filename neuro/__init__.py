"""Neuroimaging: from an MRI file to a segmentation on the same voxel grid.

Read `image.py` first: an `Image` is an array with its affine, and everything here takes and gives
Images or plain arrays of voxels. `io.py` reads and writes them; `resample.py` and `intensity.py`
prepare them; `patches.py` cuts and tiles them; `augment.py` and `synth.py` vary them for training;
`plan.py` chooses patch size and network from a data set (`datasets.py`); `metrics.py` and
`report.py` say how well it went. Inside, images are in RAS+ orientation and millimetres.
"""
