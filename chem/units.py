"""Units at the edge: inside are eV, Å and what follows from them (eV/Å, eV/Å³); GPa to print.

>>> round(to_internal("kcal/mol/Angstrom"), 6)  # eV/Å
0.043364
"""

from __future__ import annotations

from fieldgrad.engine.errors import DataError, suggest

__all__ = ["BOLTZMANN", "ENERGY", "GPA", "LENGTH", "to_internal"]

# CODATA 2018 (Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021); 1 cal = 4.184 J.
HARTREE = 27.211386245988  # eV
BOHR = 0.529177210903  # Å
MOLE = 6.02214076e23
ELECTRONVOLT = 1.602176634e-19  # J
BOLTZMANN = 8.617333262e-5  # eV/K
GPA = 1e9 * 1e-30 / ELECTRONVOLT  # eV/Å³

ENERGY = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": HARTREE,
    "Rydberg": HARTREE / 2,
    "kcal/mol": 4184.0 / MOLE / ELECTRONVOLT,
    "kJ/mol": 1000.0 / MOLE / ELECTRONVOLT,
}
LENGTH = {"Angstrom": 1.0, "Bohr": BOHR, "nm": 10.0, "pm": 0.01}
_OTHER_NAMES = {"Ha": "Hartree", "Ry": "Rydberg", "Å": "Angstrom", "A": "Angstrom", "a0": "Bohr"}


def to_internal(unit: str) -> float:
    """Factor from a unit to the one used inside: eV, Å, eV/Å, eV/Å³.

    Parameters
    ----------
    unit : str
        An energy (`ENERGY`), a length (`LENGTH`), a force ``"ENERGY/LENGTH"``, or a stress
        ``"ENERGY/LENGTH^3"`` or ``"GPa"``. Capital letters do not matter.

    Returns
    -------
    float
        What to multiply by.

    Raises
    ------
    DataError
        If the unit is unknown.

    Examples
    --------
    >>> round(to_internal("Hartree/Bohr"), 4), to_internal("nm"), round(to_internal("GPa"), 8)
    (51.4221, 10.0, 0.00624151)
    """
    known = {name.lower(): factor for name, factor in (ENERGY | LENGTH | {"GPa": GPA}).items()}
    known |= {other.lower(): known[name.lower()] for other, name in _OTHER_NAMES.items()}
    text = unit.strip().lower()
    if text in known:
        return known[text]
    energy, _, length = text.rpartition("/")
    length, _, power = length.partition("^")
    if energy in known and length in known and power in ("", "3"):
        return known[energy] / known[length] ** int(power or 1)
    names = [*ENERGY, *LENGTH, "GPa"]
    raise DataError(
        f"the unit {unit!r} is unknown{suggest(unit, names) or '.'} Energies: {', '.join(ENERGY)}; "
        f"lengths: {', '.join(LENGTH)}; forces and stresses: ENERGY/LENGTH, ENERGY/LENGTH^3, GPa."
    )
