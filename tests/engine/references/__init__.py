"""Float64 NumPy and SciPy functions that say what each op of the table must give."""

from references import elementwise, fft, irregular, layout, linalg, norm, reduce, special, windows

REFERENCES = {
    **elementwise.REFERENCES,
    **layout.REFERENCES,
    **reduce.REFERENCES,
    **linalg.REFERENCES,
    **special.REFERENCES,
    **norm.REFERENCES,
    **windows.REFERENCES,
    **irregular.REFERENCES,
    **fft.REFERENCES,
}
