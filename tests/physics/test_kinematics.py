"""Kinematics: the laws of four-vectors, and the numbers of the library vector."""

import numpy as np
import pytest

from fieldgrad.physics.jets import kinematics


@pytest.fixture
def vectors():
    """Components (E, px, py, pz) of massive vectors in all directions."""
    rng = np.random.default_rng(0)
    momenta = rng.normal(0, 50, (3, 500))
    return np.hypot(np.linalg.norm(momenta, axis=0), rng.uniform(0, 20, 500)), *momenta


def boost_along_beam(energy, pz, rapidity):
    gamma, slope = np.cosh(rapidity), np.sinh(rapidity)
    return gamma * energy + slope * pz, gamma * pz + slope * energy


def test_numbers_are_those_of_vector(vectors):
    vector = pytest.importorskip("vector")
    energy, px, py, pz = vectors
    ours = vector.array({"px": px, "py": py, "pz": pz, "E": energy})
    np.testing.assert_allclose(kinematics.pt(px, py), ours.pt)
    np.testing.assert_allclose(kinematics.eta(px, py, pz), ours.eta)
    np.testing.assert_allclose(kinematics.phi(px, py), ours.phi)
    np.testing.assert_allclose(kinematics.rapidity(energy, px, py, pz), ours.rapidity, rtol=1e-9)
    np.testing.assert_allclose(kinematics.mass(energy, px, py, pz), ours.mass, rtol=1e-9)
    first, second = ours[:250], ours[250:]
    np.testing.assert_allclose(
        kinematics.delta_r(first.eta, first.phi, second.eta, second.phi), first.deltaR(second)
    )
    np.testing.assert_allclose(
        kinematics.delta_phi(first.phi, second.phi), first.deltaphi(second), atol=1e-12
    )


def test_polar_components_round_trip(vectors):
    energy, px, py, pz = vectors
    polar = (
        kinematics.pt(px, py),
        kinematics.eta(px, py, pz),
        kinematics.phi(px, py),
        kinematics.mass(energy, px, py, pz),
    )
    for again, before in zip(kinematics.from_pt_eta_phi_mass(*polar), vectors, strict=True):
        np.testing.assert_allclose(again, before, rtol=1e-10, atol=1e-10)


def test_a_boost_along_the_beam_adds_to_rapidity(vectors):
    energy, px, py, pz = vectors
    boosted_energy, boosted_pz = boost_along_beam(energy, pz, 0.7)
    shift = kinematics.rapidity(boosted_energy, px, py, boosted_pz) - kinematics.rapidity(*vectors)
    np.testing.assert_allclose(shift, 0.7, rtol=1e-8)
    boosted_mass = kinematics.mass(boosted_energy, px, py, boosted_pz)
    np.testing.assert_allclose(boosted_mass, kinematics.mass(*vectors), rtol=1e-8, atol=1e-6)


def test_phi_is_wrapped_into_the_half_open_interval():
    angles = np.linspace(-20, 20, 1001)
    wrapped = kinematics.wrap_phi(angles)
    assert np.all(wrapped > -np.pi)
    assert np.all(wrapped <= np.pi)
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angles), atol=1e-12)
    inside = np.linspace(-3.1, 3.1, 77)
    np.testing.assert_array_equal(kinematics.wrap_phi(inside), inside)
    near = np.pi * np.array([1, -1, 3, -3]) * (1 + np.array([[-1], [0], [1]]) * 2.3e-16)
    assert np.all(kinematics.wrap_phi(near) > -np.pi)
    assert np.all(kinematics.wrap_phi(near) <= np.pi)
    assert kinematics.phi(-1.0, -0.0) == np.pi  # arctan2 alone gives -π


def test_directions_along_the_beam_and_of_nothing():
    zeros = np.zeros(3)
    along = np.array([5.0, -5.0, 0.0])
    np.testing.assert_array_equal(kinematics.eta(zeros, zeros, along), [np.inf, -np.inf, 0])
    np.testing.assert_array_equal(
        kinematics.rapidity(np.abs(along), zeros, zeros, along), [np.inf, -np.inf, 0]
    )


def test_rounded_massless_vectors_have_a_finite_rapidity():
    momentum = np.float32([0.01, 0.0, 700.0])
    energy = np.float32(700.0)  # E² - p² < 0
    rapidity = kinematics.rapidity(energy, *momentum)
    assert rapidity.dtype == np.float32
    np.testing.assert_allclose(rapidity, kinematics.eta(*momentum), rtol=1e-6)


def test_awkward_arrays_keep_their_nesting():
    awkward = pytest.importorskip("awkward")
    px, py = awkward.Array([[3.0, 1.0], [], [0.0]]), awkward.Array([[4.0, 0.0], [], [2.0]])
    assert kinematics.pt(px, py).to_list() == [[5.0, 1.0], [], [2.0]]
    assert kinematics.eta(px, py, 0 * px).to_list() == [[0.0, 0.0], [], [0.0]]
    distance = kinematics.delta_r(px, py, awkward.Array([1.0, 1.0, 1.0]), 0.0)
    assert awkward.num(distance).to_list() == [2, 0, 1]
