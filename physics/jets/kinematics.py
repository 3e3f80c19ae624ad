"""Four-vectors: transverse momentum, angles, rapidity, mass, elementwise on any arrays.

Every function is made of NumPy's elementwise functions, so it takes numbers, NumPy arrays and
awkward arrays of any nesting, and gives the same kind back; float32 stays float32. Energies and
momenta are in GeV, angles in radians. Names and conventions are those of the library ``vector``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "delta_phi",
    "delta_r",
    "eta",
    "from_pt_eta_phi_mass",
    "mass",
    "phi",
    "pt",
    "rapidity",
    "wrap_phi",
]


def pt(px: Any, py: Any) -> Any:
    """Transverse momentum.

    Parameters
    ----------
    px, py : array_like
        Momentum across the beam, GeV.

    Returns
    -------
    pt : array_like
        In GeV.

    Examples
    --------
    >>> float(pt(3.0, 4.0))
    5.0
    """
    return np.hypot(px, py)


def phi(px: Any, py: Any) -> Any:
    """Azimuth around the beam, in (-π, π].

    Parameters
    ----------
    px, py : array_like
        Momentum across the beam, GeV.

    Returns
    -------
    phi : array_like
        In radians; 0 for a vector along the beam.

    Examples
    --------
    >>> round(float(phi(0.0, 2.0)), 4)
    1.5708
    """
    return wrap_phi(np.arctan2(py, px))


def eta(px: Any, py: Any, pz: Any) -> Any:
    """Pseudorapidity, -ln tan(θ/2).

    Parameters
    ----------
    px, py, pz : array_like
        Momentum, GeV.

    Returns
    -------
    eta : array_like
        Infinite for a vector along the beam, 0 for a vector of no momentum.

    Examples
    --------
    >>> round(float(eta(1.0, 0.0, 1.0)), 4)
    0.8814
    """
    across = np.hypot(px, py)
    along_beam = across == 0
    # Where pt is 0: asinh(0 / 1) = 0, to which an infinity of the sign of pz is added.
    with np.errstate(divide="ignore", over="ignore"):
        return np.arcsinh(pz / (across + along_beam)) + np.arctanh(np.sign(pz) * along_beam)


def rapidity(energy: Any, px: Any, py: Any, pz: Any) -> Any:
    """Rapidity along the beam, ½ ln((E + pz) / (E - pz)).

    Parameters
    ----------
    energy, px, py, pz : array_like
        Four-vector, GeV.

    Returns
    -------
    rapidity : array_like
        Infinite for a massless vector along the beam.

    Notes
    -----
    Computed as asinh(pz / mT) with mT² = pt² + max(m², 0), which has no cancellation. A vector
    whose mass squared is negative from rounding, as in files of float32, counts as massless.

    Examples
    --------
    >>> round(float(rapidity(5.0, 0.0, 3.0, 4.0)), 4)  # massless: its pseudorapidity
    1.0986
    """
    p_squared = px * px + py * py + pz * pz
    mass_squared = np.maximum(energy * energy - p_squared, 0)
    # asinh(pz / mT) is eta of a vector whose pt is mT.
    return eta(np.sqrt(px * px + py * py + mass_squared), 0 * py, pz)


def mass(energy: Any, px: Any, py: Any, pz: Any) -> Any:
    """Invariant mass √(E² - p²), negative where E² < p².

    Parameters
    ----------
    energy, px, py, pz : array_like
        Four-vector, GeV.

    Returns
    -------
    mass : array_like
        In GeV. Space-like vectors, which rounding makes of massless ones, have -√(p² - E²), as in
        ROOT and ``vector``.

    Examples
    --------
    >>> float(mass(5.0, 0.0, 0.0, 3.0))
    4.0
    """
    squared = energy * energy - (px * px + py * py + pz * pz)
    return np.copysign(np.sqrt(np.abs(squared)), squared)


def wrap_phi(angle: Any) -> Any:
    """Bring angles into (-π, π], the one place where this is done.

    Parameters
    ----------
    angle : array_like
        In radians.

    Returns
    -------
    wrapped : array_like
        The same directions; angles that lie in the interval are returned bit by bit.

    Examples
    --------
    >>> import math
    >>> float(wrap_phi(-math.pi)) == math.pi, round(float(wrap_phi(7.0)), 4)
    (True, 0.7168)
    """
    wrapped = angle - 2 * np.pi * np.ceil((angle - np.pi) / (2 * np.pi))
    return wrapped + 2 * np.pi * (wrapped <= -np.pi)


def delta_phi(phi1: Any, phi2: Any) -> Any:
    """Difference of two azimuths, in (-π, π].

    Parameters
    ----------
    phi1, phi2 : array_like
        Azimuths, radians.

    Returns
    -------
    difference : array_like
        The first minus the second, wrapped.

    Examples
    --------
    >>> round(float(delta_phi(3.0, -3.0)), 4)
    -0.2832
    """
    return wrap_phi(phi1 - phi2)


def delta_r(eta1: Any, phi1: Any, eta2: Any, phi2: Any) -> Any:
    """Distance of two directions, √(Δη² + Δφ²).

    Parameters
    ----------
    eta1, phi1, eta2, phi2 : array_like
        Pseudorapidities (or rapidities) and azimuths in radians.

    Returns
    -------
    distance : array_like
        Not negative.

    Examples
    --------
    >>> round(float(delta_r(0.0, 3.1, 0.3, -3.1)), 4)
    0.3113
    """
    return np.hypot(eta1 - eta2, delta_phi(phi1, phi2))


def from_pt_eta_phi_mass(pt: Any, eta: Any, phi: Any, mass: Any) -> tuple[Any, Any, Any, Any]:
    """Cartesian components of vectors given by pt, eta, phi and mass.

    Parameters
    ----------
    pt : array_like
        Transverse momentum, GeV.
    eta, phi : array_like
        Pseudorapidity; azimuth in radians.
    mass : array_like
        In GeV; a negative one is that of a space-like vector, as the function `mass` gives it.

    Returns
    -------
    energy, px, py, pz : array_like
        In GeV.

    Examples
    --------
    >>> [round(float(x), 4) for x in from_pt_eta_phi_mass(3.0, 0.0, 0.0, 4.0)]
    [5.0, 3.0, 0.0, 0.0]
    """
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(np.maximum(px * px + py * py + pz * pz + mass * np.abs(mass), 0))
    return energy, px, py, pz
