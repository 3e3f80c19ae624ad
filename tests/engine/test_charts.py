"""Charts as SVG: what is drawn lies inside, in order, and is well-formed."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fieldgrad.engine.charts import Curve, chart


def points(svg):
    """Give the positions of the first polyline."""
    [text] = re.findall(r'<polyline points="([^"]+)"', svg)[:1]
    return np.array([[float(v) for v in pair.split(",")] for pair in text.split()])


def test_a_chart_is_well_formed_whatever_the_texts():
    svg = chart([Curve("a < b & c", [0, 1], [1, 2])], title='"<&>"', marks=[(0.5, "x<y")])
    ElementTree.fromstring(svg)


def test_points_keep_their_order_and_stay_inside():
    where = points(chart([Curve("", [1, 2, 4], [10.0, 30.0, 20.0])], width=500, height=200))
    x, y = where.T
    assert list(x) == sorted(x)
    assert (x[1] - x[0]) * 2 == pytest.approx(x[2] - x[1], abs=0.2)
    assert y[1] < y[2] < y[0]  # upward is smaller
    assert where.min() > 0
    assert x.max() < 500
    assert y.max() < 200


def test_logarithmic_axes_turn_factors_into_distances():
    svg = chart([Curve("", [0.01, 0.1, 1], [1, 10, 100])], log_x=True, log_y=True)
    steps = np.diff(points(svg), axis=0)
    np.testing.assert_allclose(steps[0], steps[1], atol=0.2)
    assert ">0.01<" in svg
    assert ">100<" in svg


def test_what_cannot_be_drawn_is_left_out():
    svg = chart([Curve("", [1, 2, 3, 4], [1.0, math.nan, math.inf, 2.0])])
    assert len(points(svg)) == 2
    for curves in ([], [Curve("", [], [])], [Curve("", [1], [math.nan])]):
        ElementTree.fromstring(chart(curves))
    svg = chart([Curve("", [-1, 0, 1, 10], [1, 2, 3, 4])], log_x=True)
    assert len(points(svg)) == 2


def test_many_points_are_averaged():
    y = np.random.default_rng(0).normal(5.0, 1.0, 100_000)
    where = points(chart([Curve("", np.arange(100_000), y)]))
    assert len(where) == 600


def test_things_that_are_counted_have_names():
    svg = chart([Curve("", [0, 1], [1, 2], lines=False, dots=True)], x_names=["sgd", "adam"])
    assert ">sgd<" in svg
    assert ">adam<" in svg
    assert svg.count("<circle") == 2


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 37.0, 1e6, 1e12])
def test_axes_have_a_few_round_numbers(scale):
    svg = chart([Curve("", [0, 1], [0.0, scale])])
    n_ticks = svg.count('text-anchor="end"')
    assert 3 <= n_ticks <= 9
