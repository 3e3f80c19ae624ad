"""Formulas: what they may hold, what they give, and what is refused."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.reading.expressions import Expression, Formulas

ak = pytest.importorskip("awkward")


@pytest.fixture
def columns():
    """Columns of three jets with 2, 0 and 1 constituents."""
    return {
        "part_px": ak.Array([[3.0, 1.0], [], [0.0]]),
        "part_py": ak.Array([[4.0, 0.0], [], [2.0]]),
        "part_pz": ak.Array([[0.0, 1.0], [], [1.0]]),
        "part_energy": ak.Array([[5.0, 2.0], [], [3.0]]),
        "jet_pt": np.array([10.0, 20.0, 40.0]),
        "flag": np.array([True, False, True]),
        "n": np.array([2, 0, 1]),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("np.hypot(part_px, part_py)", [[5.0, 1.0], [], [2.0]]),
        ("np.hypot(part_px, part_py) / jet_pt", [[0.5, 0.1], [], [0.05]]),
        ("ak.ones_like(part_energy)", [[1.0, 1.0], [], [1.0]]),
        ("ak.sum(part_px, axis=1)", [4.0, 0.0, 0.0]),
        ("ak.num(part_px)", [2, 0, 1]),
        ("(jet_pt > 15) & ~flag", [False, True, False]),
        ("15 < jet_pt <= 40", [False, True, True]),
        ("np.where(flag, jet_pt, -1.)", [10.0, -1.0, 40.0]),
        ("math.sqrt(jet_pt * 10)", [10.0, np.sqrt(200.0), 20.0]),
        ("part_px[:, :1]", [[3.0], [], [0.0]]),
        ("part_px[part_py > 1]", [[3.0], [], [0.0]]),
        ("ak.fill_none(ak.max(part_px, axis=1), -9)", [3.0, -9.0, 0.0]),
        ("_pad(part_px, 3, value=-1)", [[3.0, 1.0, -1.0], [-1.0] * 3, [0.0, -1.0, -1.0]]),
        ("_repeat_pad(part_px, 3)", [[3.0, 1.0, 3.0], [0.0] * 3, [0.0] * 3]),
        ("_clip(part_px, 0.5, 2)", [[2.0, 1.0], [], [0.5]]),
        ("np.stack([jet_pt, n], axis=1).argmax(1)", [0, 0, 0]),
        ("_p4_from_pxpypze(part_px, part_py, part_pz, part_energy).pt", [[5.0, 1.0], [], [2.0]]),
        ("pt(part_px, part_py)", [[5.0, 1.0], [], [2.0]]),
        ("-n ** 2 % 3 // 1", [-4 % 3, 0, -1 % 3]),
        ("n == 2", [True, False, False]),
        ("ak.to_regular(ak.fill_none(ak.pad_none(part_px, 2, clip=True), 0))",
         [[3.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),
        ("ak.values_astype(flag, 'int64') + 1", [2, 1, 2]),
        ("part_px.sum()", 4.0),
    ],
)  # fmt: skip
def test_formulas_give_what_python_gives(text, expected, columns):
    value = ak.to_list(Expression(text).evaluate(columns))
    pairs = zip(value, expected, strict=True) if isinstance(expected, list) else [(value, expected)]
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs)


def test_four_vectors_have_their_methods(columns):
    vectors = "_p4_from_pxpypze(part_px, part_py, part_pz, part_energy)"
    distance = Expression(f"{vectors}.deltaR({vectors})").evaluate(columns)
    assert ak.to_list(distance) == [[0.0, 0.0], [], [0.0]]
    squared = Expression(f"({vectors} + {vectors}).mass2").evaluate(columns)
    np.testing.assert_allclose(squared[0], [0.0, 4 * (4 - 2)])


def test_hashes_split_data_the_same_way_every_time():
    value = Expression("_hash(event, run) % 2").evaluate(
        {"event": np.array([5, 6]), "run": np.array([1, 1])}
    )
    assert value.tolist() == [hash((5, 1)) % 2, hash((6, 1)) % 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('ls')", "there is no function '__import__'"),
        ("open('x')", "there is no function 'open'"),
        ("np.load('x')", "np.load is not among the functions"),
        (
            "np.hipot(x)",
            "np.hipot is not among the functions that formulas may use; did you mean 'hypot'",
        ),
        ("np.core.multiarray", "not among the functions"),
        ("x.__class__", "the name '__class__' behind a dot"),
        ("().__class__.__bases__", "behind a dot"),
        ("(lambda: 1)()", "Lambda"),
        ("[y for y in x]", "ListComp"),
        ("f'{x}'", "JoinedStr"),
        ("x and y", "write & | ~"),
        ("not x", "write & | ~"),
        ("a if b else c", "np.where"),
        ("x > 1 & y > 2", "parentheses around each comparison"),
        ("x > 1 && y > 2", "Write & for &&"),
        ("x >", "cannot be read"),
        ("x := 1", "may not hold NamedExpr"),
        ("x in y", "np.isin"),
        ("np", "np alone"),
        ("hypot(x, y)", "did you mean 'np.hypot'"),
        ("", "empty"),
        ("f(**x)", "there is no function 'f'"),
        ("abs(**x)", "may not hold"),
        ("1" * 2000, "so many digits"),
        ("(" * 5000 + "x" + ")" * 5000, "cannot be read"),
        ("-" * 1500 + "x", "nested too deeply"),
    ],
)
def test_what_a_formula_may_not_hold_is_refused(text, message):
    with pytest.raises(DataError, match=message.replace("|", r"\|").replace("(", r"\(")):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9 ** 9 ** 9", "whole numbers as large"),
        ("1 << 9999999", "whole numbers as large"),
        ("'a' * 999999999", "arithmetic with a str"),
        ("[0] * 999999999", "arithmetic with a list"),
        ("jet_pt.tofile('x')", "has no 'tofile'"),
        ("part_px.layout", "has no 'layout'"),
        ("part_px.behavior", "has no 'behavior'"),
        ("jet_pt.pt", "expected a four-vector"),
        ("jet_pT", "no column 'jet_pT'; did you mean 'jet_pt'"),
        ("part_px + part_px[:, :1]", r"cannot be computed.*\n.*part_px: 3 \* var"),
    ],
)
def test_what_cannot_be_computed_says_why(text, message, columns):
    with pytest.raises(DataError, match=message):
        Expression(text).evaluate(columns)


def test_functions_of_the_user_can_be_called(columns):
    double = Expression("double(jet_pt)", {"double": lambda x: 2 * x})
    assert double.evaluate(columns).tolist() == [20.0, 40.0, 80.0]


def test_a_selection_is_split_into_its_cuts():
    cuts = Expression("(a > 1) & ((b < 2) | c) & ~d").cuts()
    assert [cut.text for cut in cuts] == ["a > 1", "(b < 2) | c", "~d"]


def test_formulas_find_what_they_need():
    formulas = Formulas({"c": "a + b", "d": "c * 2", "a": "a"})
    assert formulas.columns_for(["d", "e"]) == {"a", "b", "e"}
    values = {"a": np.array([1.0]), "b": np.array([2.0])}
    assert formulas.evaluate("d", values).tolist() == [6.0]
    assert "c" in values  # computed on the way, once


def test_formulas_in_a_circle_are_refused():
    with pytest.raises(DataError, match="in a circle: "):
        Formulas({"a": "b + 1", "b": "a - 1"})


def test_unknown_names_are_all_listed():
    with pytest.raises(DataError) as caught:
        Expression("jet_pT + jet_eta_ + zzz").evaluate({"jet_pt": 1, "jet_eta": 2})
    for part in ("'jet_pT'; did you mean 'jet_pt'", "'jet_eta_'; did you mean 'jet_eta'", "'zzz'"):
        assert part in str(caught.value)
