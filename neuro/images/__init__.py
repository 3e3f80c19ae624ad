"""Images as the scanner made them: read, brought to another grid or scale, and written back.

Read `image.py` first: an `Image` is an array with its affine::

    image       Image: a volume with its place in the scanner
    io          NIfTI and MGZ files
    resample    images, label maps and probabilities on another grid
    intensity   scans of different scanners on one scale
    datasets    folders of images with labels, and the template that needs no download
"""
