"""Float64 NumPy and SciPy functions that say what each op of the table must give."""

from references import elementwise, fft, irregular, layout, linalg, norm, reduce, windows

REFERENCES = {
    **elementwise.REFERENCES,
    **layout.REFERENCES,
    **reduce.REFERENCES,
    **linalg.REFERENCES,
    **norm.REFERENCES,
    **windows.REFERENCES,
    **irregular.REFERENCES,
    **fft.REFERENCES,
}
