"""The recipe for copper, shortened, against the method its data are from."""

import pytest

from fieldgrad.chem.potentials.dynamics import measure_crystal
from fieldgrad.chem.potentials.potential import Potential
from fieldgrad.engine import recipe as recipes

build = pytest.importorskip("ase.build", reason="ASE is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.mark.slow
def test_copper_has_the_lattice_constant_and_stiffness_of_its_data(tmp_path):
    from ase.calculators.emt import EMT

    from fieldgrad.chem.potentials.calculator import PotentialCalculator

    shorter = ["n_structures=120", 'budget="40 epochs"']
    recipes.run(recipes.load("chem/copper-emt", shorter), tmp_path / "run")
    potential = Potential.load(tmp_path / "run" / "model.safetensors")
    found = []
    for calculator in (EMT(), PotentialCalculator(potential)):
        atoms = build.bulk("Cu", a=3.6)
        atoms.calc = calculator
        found.append(measure_crystal(atoms))
    emt, learned = found
    assert learned.scale == pytest.approx(emt.scale, rel=0.01)
    assert learned.bulk_modulus == pytest.approx(emt.bulk_modulus, rel=0.1)
