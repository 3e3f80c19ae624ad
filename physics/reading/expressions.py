"""Formulas over columns, such as ``np.log(part_pt / jet_pt)``, evaluated without ``eval``.

A formula is parsed into Python's syntax tree, every node of which must be of a kind that formulas
may hold; then the tree is walked. Functions are those of `fieldgrad.physics.reading.functions`
and no others, so a description from elsewhere can compute from columns, and do nothing else.
"""

from __future__ import annotations

import ast
import itertools
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from fieldgrad.engine.errors import DataError, suggest
from fieldgrad.physics.reading import functions as table
from fieldgrad.physics.reading.functions import ATTRIBUTES, FUNCTIONS, MODULES, is_awkward

__all__ = ["Expression", "Formulas", "describe_unknown"]

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LONGEST = 20_000  # characters; what people write is shorter
# Bounds on what a formula of constants can ask for; arrays bring sizes of their own.
_MOST_BITS, _MOST_DIGITS = 64, 1000
# Mistakes of those who come from C++ or from Python without arrays.
_HINTS = {
    "&&": "Write & for &&, and put parentheses around both sides.",
    "||": "Write | for ||, and put parentheses around both sides.",
    "!": "Write ~ for !.",
    "::": "Write np.sqrt for TMath::Sqrt, and so on.",
}


class Expression:
    """One formula, checked when it is made.

    Parameters
    ----------
    text : str
        Names of columns, numbers, arithmetic, comparisons, ``& | ~``, indexing, and functions of
        ``np``, ``ak``, ``math`` or weaver-core (``_p4_from_pxpypze``, …).
    functions : mapping of str to callable, optional
        Further functions that it may call by name.

    Attributes
    ----------
    text : str
        The formula on one line.
    names : frozenset of str
        The columns, or other formulas, that it reads.

    Raises
    ------
    DataError
        If it is no formula, or calls what it may not.

    Examples
    --------
    >>> pt = Expression("np.hypot(px, py)")
    >>> sorted(pt.names)
    ['px', 'py']
    >>> pt.evaluate({"px": np.array([3.0]), "py": np.array([4.0])})
    array([5.])
    >>> Expression("open('data.txt')")
    Traceback (most recent call last):
    ...
    fieldgrad.engine.errors.DataError: formula "open('data.txt')": there is no function 'open'...
    """

    def __init__(
        self, text: str, functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.text = " ".join(str(text).split())
        self._functions = {**FUNCTIONS, **(functions or {})}
        self._tree = self._parse(str(text))
        try:
            self.names: frozenset[str] = frozenset(self._check(self._tree))
        except RecursionError as error:
            raise self._too_deep() from error

    def __repr__(self) -> str:
        """Show the formula."""
        return f"Expression({self.text!r})"

    def cuts(self) -> list[Expression]:
        """Split a selection at its outermost ``&``.

        Returns
        -------
        list of Expression
            The conditions that all must hold.

        Examples
        --------
        >>> [cut.text for cut in Expression("(pt > 500) & (abs(eta) < 2)").cuts()]
        ['pt > 500', 'abs(eta) < 2']
        """

        def parts(node: ast.expr) -> Iterator[ast.expr]:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
                yield from parts(node.left)
                yield from parts(node.right)
            else:
                yield node

        return [Expression(ast.unparse(node), self._functions) for node in parts(self._tree)]

    def evaluate(self, columns: Mapping[str, Any]) -> Any:
        """Compute the formula.

        Parameters
        ----------
        columns : mapping of str to array
            Every column in `names`: NumPy or awkward arrays whose first axis is that of the jets.

        Returns
        -------
        array or number
            What the formula gives. Division by zero and the like give infinities and NaN.

        Raises
        ------
        DataError
            If a column is missing, or the formula cannot be computed of these columns.
        """
        missing = self.names - columns.keys()
        if missing:
            raise DataError(f"formula {self}: {describe_unknown(missing, columns)}")
        try:
            with np.errstate(all="ignore"):
                return self._value(self._tree, columns)
        except DataError:
            raise
        except Exception as error:  # whatever the libraries say of arrays that do not fit
            kinds = ", ".join(f"{name}: {_kind(columns[name])}" for name in sorted(self.names))
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"formula {self} cannot be computed: {type(error).__name__}: {reason:.300}\n"
                f"Its columns are {kinds or 'none'}."
            ) from error

    def __str__(self) -> str:
        """Show the formula in quotes, shortened."""
        return f'"{self.text if len(self.text) < 200 else self.text[:197] + "..."}"'

    def _parse(self, text: str) -> ast.expr:
        if len(text) > _LONGEST:
            raise DataError(f"formula {self} has {len(text)} characters; at most {_LONGEST}.")
        if not self.text:
            raise DataError("a formula is empty; expected one, or leave the entry out.")
        try:
            return ast.parse(f"({text}\n)", mode="eval").body
        except (MemoryError, RecursionError) as error:
            raise self._too_deep() from error
        except (SyntaxError, ValueError) as error:
            hint = next((hint for sign, hint in _HINTS.items() if sign in text), "Correct it.")
            reason = getattr(error, "msg", None) or error
            raise DataError(f"formula {self} cannot be read: {reason}. {hint}") from error

    def _check(self, node: ast.AST) -> Iterator[str]:
        """Refuse what formulas may not hold, and give the names of columns."""
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                if isinstance(node.value, int) and len(str(node.value)) > _MOST_DIGITS:
                    raise self._refusal("a number with so many digits")
            case ast.Name(id=name) if name in MODULES:
                raise self._refusal(f"{name} alone; name one of its functions")
            case ast.Name(id=name):
                yield name
            case ast.Call(func=function, args=arguments, keywords=keywords):
                if isinstance(function, ast.Name):
                    self._check_function(function.id)
                else:
                    yield from self._check(function)
                for argument in (*arguments, *(keyword.value for keyword in keywords)):
                    yield from self._check(argument)
                if any(keyword.arg is None for keyword in keywords):
                    raise self._refusal("**")
            case ast.Attribute():
                root, path = _dotted(node)
                if isinstance(root, ast.Name) and root.id in MODULES:
                    self._check_module(root.id, path)
                elif node.attr.startswith("_"):
                    raise self._refusal(f"the name {node.attr!r} behind a dot")
                else:
                    yield from self._check(node.value)
            case ast.Compare(left=left, comparators=others):
                between = others[:-1]
                if any(isinstance(o, ast.BinOp) and isinstance(o.op, ast.BitAnd | ast.BitOr)
                       for o in between):  # fmt: skip
                    raise DataError(
                        f"formula {self}: & and | bind closer than comparisons. "
                        "Put parentheses around each comparison: (a > 1) & (b < 2)."
                    )
                for operand in (left, *others):
                    yield from self._check(operand)
                if not all(type(op) in _OPERATORS for op in node.ops):
                    raise self._refusal("this comparison; use == != < <= > >= or np.isin")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                yield from self._check(left)
                yield from self._check(right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                yield from self._check(operand)
            case ast.Subscript(value=value, slice=index):
                yield from self._check(value)
                yield from self._check(index)
            case ast.Slice(lower=lower, upper=upper, step=step):
                for bound in (lower, upper, step):
                    if bound is not None:
                        yield from self._check(bound)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    yield from self._check(element)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                for part in (*keys, *values):
                    yield from self._check(part)  # type: ignore[arg-type]
            case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise self._refusal("and, or, not; write & | ~ with parentheses")
            case ast.IfExp():
                raise self._refusal("if … else; write np.where(condition, a, b)")
            case _:
                raise self._refusal(f"{type(node).__name__} ({ast.unparse(node):.60})")

    def _too_deep(self) -> DataError:
        return DataError(f"formula {self} is nested too deeply; split it.")

    def _refusal(self, what: str) -> DataError:
        return DataError(f"formula {self}: a formula may not hold {what}.")

    def _check_function(self, name: str) -> None:
        if name not in self._functions:
            elsewhere = [f"{module}.{name}" for module in ("np", "ak")
                         if name in table.names_of(module)]  # fmt: skip
            hint = f"; did you mean {elsewhere[0]!r}?" if elsewhere else ""
            hint = hint or suggest(name, self._functions)
            raise DataError(
                f"formula {self}: there is no function {name!r}{hint or '.'} Without a module: "
                f"{', '.join(self._functions)}; others are np.…, ak.…, math.…"
            )

    def _check_module(self, module: str, path: str) -> None:
        known = table.names_of(module)
        if path not in known:
            raise DataError(
                f"formula {self}: {module}.{path} is not among the functions that formulas may "
                f"use{suggest(path, known) or '.'} "
                "See fieldgrad.physics.reading.functions for the list."
            )

    def _value(self, node: ast.AST, columns: Mapping[str, Any]) -> Any:
        """Compute a node that `_check` has let pass."""

        def value(inner: ast.AST) -> Any:
            return self._value(inner, columns)

        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return columns[node.id]
            case ast.BinOp():
                return self._combined(node, value(node.left), value(node.right))
            case ast.UnaryOp():
                operand = value(node.operand)
                if isinstance(node.op, ast.Invert) and isinstance(operand, bool):
                    return not operand
                return _OPERATORS[type(node.op)](operand)
            case ast.Compare():
                operands = [value(operand) for operand in (node.left, *node.comparators)]
                pairs = itertools.pairwise(operands)
                results = [
                    _OPERATORS[type(op)](*pair) for op, pair in zip(node.ops, pairs, strict=True)
                ]
                for result in results[1:]:
                    results[0] = results[0] & result
                return results[0]
            case ast.Attribute():
                root, path = _dotted(node)
                if isinstance(root, ast.Name) and root.id in MODULES:
                    return table.find_function(root.id, path)
                return self._attribute(value(node.value), node.attr)
            case ast.Call():
                function = (
                    self._functions[node.func.id]
                    if isinstance(node.func, ast.Name)
                    else value(node.func)
                )
                arguments = [value(argument) for argument in node.args]
                return function(*arguments, **{str(k.arg): value(k.value) for k in node.keywords})
            case ast.Subscript():
                return value(node.value)[value(node.slice)]
            case ast.Slice():
                return slice(*(None if bound is None else value(bound)
                               for bound in (node.lower, node.upper, node.step)))  # fmt: skip
            case ast.List():
                return [value(element) for element in node.elts]
            case ast.Tuple():
                return tuple(value(element) for element in node.elts)
            case ast.Dict():
                return {
                    value(key): value(entry)  # type: ignore[arg-type]
                    for key, entry in zip(node.keys, node.values, strict=True)
                }
        raise AssertionError(ast.dump(node))  # _check lets no other node pass

    def _combined(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        for operand in (left, right):
            if isinstance(operand, str | list | tuple | dict):
                raise self._refusal(f"arithmetic with a {type(operand).__name__}")
        numbers = isinstance(left, int) and isinstance(right, int)
        if numbers and isinstance(node.op, ast.Pow | ast.LShift):
            bits = (abs(left).bit_length() or 1) * max(right, 0)
            if isinstance(node.op, ast.LShift):
                bits = abs(left).bit_length() + max(right, 0)
            if bits > _MOST_BITS:
                raise self._refusal("whole numbers as large as this; write 10.0 for 10")
        return _OPERATORS[type(node.op)](left, right)

    def _attribute(self, value: Any, name: str) -> Any:
        fields = list(value.fields) if is_awkward(value) else []
        if name in fields:
            return value[name]
        if isinstance(value, np.ndarray) and value.dtype.names:
            if name in value.dtype.names:
                return value[name]
            fields += value.dtype.names
        if name not in ATTRIBUTES or not (is_awkward(value) or isinstance(value, np.ndarray)):
            raise DataError(
                f"formula {self}: {_kind(value)} has no {name!r}"
                f"{suggest(name, [*fields, *ATTRIBUTES]) or '.'}"
            )
        if name in ("E", "energy", "M", "mass", "pt", "px") and not hasattr(value, name):
            raise DataError(
                f"formula {self}: {_kind(value)} has no {name!r}; expected a four-vector, as "
                "_p4_from_pxpypze(px, py, pz, energy) makes it."
            )
        if is_awkward(value) and not hasattr(value, name):
            # ak.Array has no methods of NumPy; its functions have the same names.
            function = table.find_function("ak", name) if name in table.names_of("ak") else None
            if function is not None:
                return lambda *arguments, **options: function(value, *arguments, **options)
        return getattr(value, name)


class Formulas:
    """Named formulas that may use one another, computed when they are needed.

    Parameters
    ----------
    formulas : mapping of str to str
        Name and text of each.
    functions : mapping of str to callable, optional
        Further functions that they may call.

    Raises
    ------
    DataError
        If a formula is wrong, or they need one another in a circle.

    Examples
    --------
    >>> formulas = Formulas({"pt": "np.hypot(px, py)", "log_pt": "np.log(pt)", "px": "px"})
    >>> sorted(formulas.columns_for(["log_pt"]))
    ['px', 'py']
    >>> columns = {"px": np.array([1.0]), "py": np.array([0.0])}
    >>> formulas.evaluate("log_pt", columns)
    array([0.])
    """

    def __init__(
        self,
        formulas: Mapping[str, str],
        functions: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.functions = dict(functions or {})
        parsed = {str(name): Expression(text, functions) for name, text in formulas.items()}
        # A formula that is its own name says that the file has the column.
        self._formulas = {
            name: e for name, e in parsed.items() if e.text != name or e.names != {name}
        }
        self.columns_for(self._formulas)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a formula of this name."""
        return name in self._formulas

    def __iter__(self) -> Iterator[str]:
        """Give the names of the formulas."""
        return iter(self._formulas)

    def columns_for(self, names: Collection[str]) -> set[str]:
        """Say which columns of the file are needed to compute some names.

        Parameters
        ----------
        names : collection of str
            Names of formulas or columns.

        Returns
        -------
        set of str
            Names of columns.

        Raises
        ------
        DataError
            If formulas need one another in a circle.
        """
        needed: set[str] = set()
        for name in names:
            self._collect(name, (), needed)
        return needed

    def _collect(self, name: str, path: tuple[str, ...], needed: set[str]) -> None:
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise DataError(
                f"new_variables need one another in a circle: {circle}. Give one another name."
            )
        if name not in self._formulas:
            needed.add(name)
            return
        for inner in self._formulas[name].names:
            self._collect(inner, (*path, name), needed)

    def evaluate(
        self,
        name: str,
        columns: dict[str, Any],
        derive: Callable[[str], Any] | None = None,
    ) -> Any:
        """Compute a formula or look up a column.

        Parameters
        ----------
        name : str
            Its name.
        columns : dict of str to array
            Columns of the file; what is computed on the way is added. A column of the same name
            takes the place of the formula.
        derive : callable, optional
            Asked for what is neither column nor formula; gives None if it does not know it.

        Returns
        -------
        array
            The column.

        Raises
        ------
        DataError
            If columns are missing or do not fit.
        """
        if name not in columns:
            if name not in self._formulas:
                derived = derive(name) if derive else None
                if derived is None:
                    raise DataError(describe_unknown([name], [*columns, *self._formulas]))
                columns[name] = derived
                return derived
            formula = self._formulas[name]
            for inner in formula.names:
                self.evaluate(inner, columns, derive)
            try:
                columns[name] = formula.evaluate(columns)
            except DataError as error:
                raise DataError(f"{name}: {error}") from error
        return columns[name]


def describe_unknown(unknown: Collection[str], known: Collection[str]) -> str:
    """Say which names are not there, and which ones may have been meant.

    Parameters
    ----------
    unknown : collection of str
        The names that were asked for in vain.
    known : collection of str
        What there is.

    Returns
    -------
    str
        One sentence or two.

    Examples
    --------
    >>> describe_unknown(["jet_pT"], ["jet_pt", "jet_eta"])
    "there is no column 'jet_pT'; did you mean 'jet_pt'? There are 2: jet_eta, jet_pt."
    """
    names = sorted(unknown)
    hints = [f"{name!r}{suggest(name, known)}".removesuffix("?") for name in names]
    near = any("did you mean" in hint for hint in hints)
    listed = sorted(known)
    shown = ", ".join(listed[:40]) + (", …" if len(listed) > 40 else "")
    return (
        f"there is no column {', no column '.join(hints)}{'?' if near else '.'} "
        f"There are {len(listed)}: {shown}."
    )


def _dotted(node: ast.Attribute) -> tuple[ast.expr, str]:
    """Split ``a.b.c`` into its first part and the rest."""
    parts: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return inner, ".".join(reversed(parts))


def _column_kind(value: Any) -> str:
    return str(value.type) if is_awkward(value) else f"{value.dtype} of shape {value.shape}"


def _kind(value: Any) -> str:
    if is_awkward(value) or isinstance(value, np.ndarray | np.generic):
        return _column_kind(value)
    return f"a {type(value).__name__}"
