"""Rules as expressions over columns, for example "end - start <= duration('30d') and (age >= 18 or status == 'minor')".

An expression is parsed by Python's grammar, and only the parts below have a meaning; nothing is executed. Comparisons
of linear terms become inequalities and sums, which are restored. Rows that break any other expression are drawn again.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.inequalities import Inequality
from pointillist.rules.rule import Conditions, Mask, NumberRange, Rows, Rule
from pointillist.rules.sums import Sum
from pointillist.tables.table import Column, kind_of, seconds_per_unit

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_SIGNS: dict[type[ast.cmpop], tuple[float, ...]] = {
    ast.Lt: (-1.0,),
    ast.LtE: (-1.0,),
    ast.Gt: (1.0,),
    ast.GtE: (1.0,),
    ast.Eq: (-1.0, 1.0),
}
"""Signs of a difference for which a comparison with 0 means that the signed difference is at least 0, or above 0."""

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}

_KINDS = {
    **{(sign, "number", "number"): "number" for sign in "+-*/"},
    **{(sign, "duration", "duration"): "duration" for sign in "+-"},
    **{(sign, "date", "duration"): "date" for sign in "+-"},
    **{(sign, "duration", "number"): "duration" for sign in "*/"},
    ("/", "duration", "duration"): "number",
    ("-", "date", "date"): "duration",
    ("+", "duration", "date"): "date",
    ("*", "number", "duration"): "duration",
}
"""Kind of the result of an operation, by its sign and the kinds of both sides."""

_LONGEST, _DEEPEST = 2000, 50
_SECONDS = {"d": 86_400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "w": 604_800.0}


class _NotLinearError(Exception):
    """Raised for a term that is no sum of multiples of columns."""


@dataclass(frozen=True)
class Linear:
    """A sum of multiples of columns plus a constant, with the operations that keep it one."""

    factors: dict[Any, float]
    constant: float = 0.0

    @classmethod
    def of(cls, value: Any) -> "Linear":
        """Return a value as a sum: itself, or a constant."""
        return value if isinstance(value, Linear) else cls({}, float(value))

    def __add__(self, other: "Linear") -> "Linear":
        names = self.factors | other.factors
        factors = {name: self.factors.get(name, 0.0) + other.factors.get(name, 0.0) for name in names}
        return Linear({name: f for name, f in factors.items() if f}, self.constant + other.constant)

    def __sub__(self, other: "Linear") -> "Linear":
        return self + other * Linear({}, -1.0)

    def __mul__(self, other: "Linear") -> "Linear":
        if self.factors and other.factors:
            raise _NotLinearError
        scale, term = (self.constant, other) if other.factors else (other.constant, self)
        return Linear({name: f * scale for name, f in term.factors.items() if scale}, term.constant * scale)

    def __truediv__(self, other: "Linear") -> "Linear":
        if other.factors or not other.constant:
            raise _NotLinearError
        return self * Linear({}, 1.0 / other.constant)


@dataclass(frozen=True)
class Quantity:
    """A value of an expression.

    Attributes:
        kind: "number", "date" (seconds since 1970), "duration" (seconds), "text" or "boolean".
        values: One value per row, or one for all rows, or a `Linear`.
    """

    kind: str
    values: Any


@dataclass(frozen=True)
class Parsed:
    """A parsed expression, in which placeholders stand for the names in backquotes (`quoted`)."""

    text: str
    tree: ast.expr
    quoted: Mapping[str, str]

    @classmethod
    def of(cls, text: Any) -> "Parsed":
        """Parse an expression; raise a ValueError in one line if it is none."""
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise ValueError(f"rules.expression takes text of at most {_LONGEST:,} characters, not {text!r:.60}")
        quoted: dict[str, str] = {}

        def placeholder(match: re.Match[str]) -> str:
            quoted[name := f"_quoted{len(quoted)}_"] = match[1]
            return name

        plain = re.sub(r"`([^`]+)`", placeholder, text.strip())
        try:
            tree = ast.parse(plain, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"rules.expression: {text!r:.80} is not an expression: {error.args[0]}") from error
        parsed = cls(plain, tree, quoted)
        parsed._check(tree, 0)
        return parsed

    def _check(self, node: ast.AST, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("rules.expression: the expression is nested too deeply")
        for child in ast.iter_child_nodes(node):
            self._check(child, depth + 1)

    def name(self, node: ast.Name) -> str:
        """Return the name of a column."""
        return self.quoted.get(node.id, node.id)

    def wording(self, node: ast.expr) -> str:
        """Return the text of a part."""
        text = ast.get_source_segment(self.text, node) or ""
        for placeholder, name in self.quoted.items():
            text = text.replace(placeholder, f"`{name}`")
        return text

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the text."""
        functions = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and id(node) not in functions]
        return tuple(dict.fromkeys(map(self.name, sorted(nodes, key=lambda node: node.col_offset))))

    def value(self, node: ast.expr, columns: Mapping[str, Quantity]) -> Quantity:
        """Return the value of a part for values of the columns; raise a ValueError if it has no meaning."""
        match node:
            case ast.Constant(value=bool() as value):
                return Quantity("boolean", value)
            case ast.Constant(value=int() | float() as value):
                return Quantity("number", float(value))
            case ast.Constant(value=str() as value):
                return Quantity("text", value)
            case ast.Name():
                return columns[self.name(node)]
            case ast.UnaryOp(op=ast.Not()):
                return Quantity("boolean", ~self.boolean(node.operand, columns))
            case ast.UnaryOp(op=ast.USub()):
                return self._arithmetic(ast.Mult, Quantity("number", -1.0), self.value(node.operand, columns), node)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                sides = self.value(node.left, columns), self.value(node.right, columns)
                return self._arithmetic(type(node.op), *sides, node)
            case ast.BoolOp():
                parts = [self.boolean(each, columns) for each in node.values]
                joined = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                return Quantity("boolean", joined.reduce(np.broadcast_arrays(*parts)))
            case ast.Compare():
                pairs = zip(node.ops, pairwise([node.left, *node.comparators]), strict=True)
                parts = [self._compared(op, *pair, columns) for op, pair in pairs]
                return Quantity("boolean", np.logical_and.reduce(np.broadcast_arrays(*parts)))
            case ast.Call(func=ast.Name(id=function), args=[argument], keywords=[]):
                return self._called(function, argument, columns, node)
        raise ValueError(f"rules.expression: {self.wording(node)!r:.60} has no meaning in a rule")

    def sides(self, left: ast.expr, right: ast.expr, columns: Mapping[str, Quantity]) -> tuple[Quantity, Quantity]:
        """Return both sides of a comparison, which are of one kind; text is a date if the other side is one."""
        a, b = self.value(left, columns), self.value(right, columns)
        if {a.kind, b.kind} == {"date", "text"}:
            a, b = (_date(each) if each.kind == "text" else each for each in (a, b))
        if a.kind != b.kind:
            raise ValueError(
                f"rules.expression: {self.wording(left)} is a {a.kind}, but {self.wording(right)} is a {b.kind}"
            )
        return a, b

    def boolean(self, node: ast.expr, columns: Mapping[str, Quantity]) -> Any:
        """Return the value of a part that is true or false; raise a ValueError if it is neither."""
        found = self.value(node, columns)
        if found.kind != "boolean":
            raise ValueError(f"rules.expression: {self.wording(node)} is a {found.kind}, not true or false")
        return np.asarray(found.values, bool)

    def _compared(self, op: ast.cmpop, left: ast.expr, right: ast.expr, columns: Mapping[str, Quantity]) -> Any:
        if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List | ast.Set):
            equal = [self._compared(ast.Eq(), left, each, columns) for each in right.elts]
            found = np.logical_or.reduce(np.broadcast_arrays(*equal)) if equal else np.zeros(1, bool)
            return found if isinstance(op, ast.In) else ~found
        if type(op) not in _COMPARISONS:
            raise ValueError(f"rules.expression: {self.wording(right)!r:.60} is compared in an unknown way")
        a, b = self.sides(left, right, columns)
        if a.kind in ("text", "boolean") and not isinstance(op, ast.Eq | ast.NotEq):
            raise ValueError(f"rules.expression: {self.wording(left)} is a {a.kind}: compare it by == or !=")
        return np.asarray(_COMPARISONS[type(op)](a.values, b.values))

    def _arithmetic(self, op: type[ast.operator], a: Quantity, b: Quantity, node: ast.expr) -> Quantity:
        sign, calculated = _ARITHMETIC[op]
        kind = _KINDS.get((sign, a.kind, b.kind))
        if kind is None:
            raise ValueError(f"rules.expression: {self.wording(node)} combines a {a.kind} and a {b.kind}")
        is_linear = isinstance(a.values, Linear) or isinstance(b.values, Linear)
        left, right = (Linear.of(each.values) if is_linear else np.asarray(each.values) for each in (a, b))
        with np.errstate(all="ignore"):
            return Quantity(kind, calculated(left, right))

    def _called(self, name: str, argument: ast.expr, columns: Mapping[str, Quantity], node: ast.expr) -> Quantity:
        found = self.value(argument, columns)
        if name == "abs" and found.kind in ("number", "duration"):
            if isinstance(found.values, Linear):
                raise _NotLinearError
            return Quantity(found.kind, np.abs(found.values))
        if name == "date" and found.kind == "text":
            return _date(found)
        if name == "duration" and found.kind == "text" and isinstance(found.values, str):
            parts = re.fullmatch(rf"([+-]?[\d.]+) *({'|'.join(_SECONDS)})", found.values.strip())
            if parts:
                return Quantity("duration", float(parts[1]) * _SECONDS[parts[2]])
            units = ", ".join(_SECONDS)
            raise ValueError(
                f"rules.expression: duration takes a number and a unit ({units}), not {found.values!r:.40}"
            )
        raise ValueError(f"rules.expression: {self.wording(node)!r:.60} has no meaning in a rule")


def _date(text: Quantity) -> Quantity:
    """Return the date of a text, in seconds since 1970."""
    try:
        moment = np.datetime64(text.values, "us")
        return Quantity("date", moment.astype(np.int64) / 1e6)
    except (ValueError, TypeError) as error:
        raise ValueError(f"rules.expression: {text.values!r:.40} is not a date: write it as 2024-03-20") from error


@dataclass(frozen=True)
class Expression(Rule):
    """An expression that is true in every row without missing cells.

    Attributes:
        source: The expression.
        scales: Seconds of a unit of each column that holds dates or durations; 0 for other columns.
        are_dates: Whether each column holds dates rather than durations.
    """

    source: str
    scales: tuple[float, ...]
    are_dates: tuple[bool, ...]

    kind = "expression"
    fewest_columns = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self._parsed.names) == len(self.columns) == len(self.scales) == len(self.are_dates):
            raise ValueError("the rule of an expression has other columns than the expression")

    @cached_property
    def _parsed(self) -> Parsed:
        return Parsed.of(self.source)

    def is_true(self, columns: Sequence[Column]) -> Mask:
        """Return in which rows the expression is true, for its columns in order."""
        parsed = self._parsed
        values = {
            name: _quantity(cells, scale, is_date)
            for name, cells, scale, is_date in zip(parsed.names, columns, self.scales, self.are_dates, strict=True)
        }
        return np.broadcast_to(parsed.boolean(parsed.tree, values), len(columns[0].values))

    def restore(self, rows: Rows) -> None:
        """Change nothing: the rows are drawn again."""

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        return self._is_false([columns[column] for column in self.columns])

    def _is_false(self, cells: Sequence[Column]) -> Mask:
        return ~np.any([each.is_missing for each in cells], axis=0) & ~self.is_true(cells)

    def contradicted(self, conditions: Conditions) -> Mask:
        """Find the rows in which all cells are observed and the expression is false."""
        if not {*self.columns} <= conditions.observed.keys():
            return np.zeros(1, bool)
        cells = [conditions.observed[column] for column in self.columns]
        n = max(len(each.values) for each in cells)
        return self._is_false([each.part(slice(0, n), n) for each in cells])

    def text(self, names: Sequence[Any]) -> str:
        return self.source

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        kinds = [encoders[column] for column in self.columns]
        self.is_true([encoder.decode(np.empty(0), np.empty((0, encoder.n_numbers))) for encoder in kinds])


def _kind(scale: float, is_date: bool) -> str:
    if not scale:
        return "number"
    return "date" if is_date else "duration"


def _quantity(cells: Column, scale: float, is_date: bool) -> Quantity:
    """Return the cells of a column as a value of an expression."""
    if scale:
        return Quantity(_kind(scale, is_date), cells.values * scale)
    if cells.categories is None:
        return Quantity("number", cells.values.astype(float))
    if all(isinstance(each, bool) for each in cells.categories):
        return Quantity("boolean", cells.numbers > 0)
    if all(isinstance(each, int | float) for each in cells.categories):
        return Quantity("number", cells.numbers)
    texts = np.array([str(each) for each in cells.categories] or [""], object)
    return Quantity("text", texts[cells.values.astype(np.int64)])


@dataclass(frozen=True, repr=False)
class DeclaredExpression(Declared):
    """An expression that is true in every row."""

    text: str

    kind = "expression"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not Parsed.of(self.text).names:
            raise ValueError(f"rules.expression: {self.text!r:.60} names no column")

    @property
    def names(self) -> tuple[Any, ...]:
        return Parsed.of(self.text).names

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        """Return inequalities and sums for linear comparisons, and an expression for each other part."""
        parsed = Parsed.of(self.text)
        return [rule for part in _conjuncts(parsed.tree) for rule in self._bound(parsed, part, columns)]

    def _bound(self, parsed: Parsed, part: ast.expr, columns: NamedColumns) -> Sequence[Rule]:
        wording = parsed.wording(part)
        names = Parsed.of(wording).names
        types = [columns.arrow_type(name) for name in names]
        scales = tuple(seconds_per_unit(each) if kind_of(each) == "date" else 0.0 for each in types)
        # Other types of the kind "date" hold durations or times of a day.
        are_dates = tuple(str(each).startswith(("date", "timestamp")) for each in types)
        indices = tuple(map(columns.index, names))
        if isinstance(part, ast.Compare) and not any(columns.encoders[i].has_categories for i in indices):
            linear = {
                name: Quantity(_kind(scale, is_date), Linear({name: scale or 1.0}))
                for name, scale, is_date in zip(names, scales, are_dates, strict=True)
            }
            try:
                return _linear_rules(parsed, part, linear, columns)
            except _NotLinearError:
                pass
        rule = Expression(indices, wording, scales, are_dates, is_declared=True)
        rule.is_true([columns.cells(name).take(np.zeros(0, int)) for name in names])
        return [rule]


def expression(text: str, *, on_violation: str = "refuse") -> DeclaredExpression:
    """Declare that an expression over columns is true.

    It may use + - * /, comparisons, and, or, not, `in ("A", "B")`, abs, date("2024-03-20") and duration("30d") with the
    units w, d, h, min, s, ms, us and ns. Names of columns that are not Python names stand in backquotes.

    Args:
        text: The expression.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return DeclaredExpression(text, on_violation=on_violation)


def _conjuncts(tree: ast.expr) -> list[ast.expr]:
    """Split an expression into parts that must all be true."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [part for each in tree.values for part in _conjuncts(each)]
    return [tree]


def _linear_rules(
    parsed: Parsed, node: ast.Compare, linear: Mapping[str, Quantity], columns: NamedColumns
) -> Sequence[Rule]:
    """Return a chain of comparisons of linear terms as rules; raise `_NotLinearError` if it has other parts."""
    found, wording = list[Rule](), parsed.wording(node)
    for op, (left, right) in zip(node.ops, pairwise([node.left, *node.comparators]), strict=True):
        if type(op) not in _SIGNS:
            raise _NotLinearError
        a, b = parsed.sides(left, right, linear)
        if not isinstance(a.values, Linear) and not isinstance(b.values, Linear):
            raise _NotLinearError
        difference = Linear.of(a.values) - Linear.of(b.values)
        if not difference.factors:
            raise ValueError(f"rules.expression: {wording} says nothing about a column")
        indices = tuple(columns.number(name) for name in difference.factors)
        factors = np.array([*difference.factors.values()])
        scale = abs(factors[0])
        factors, constant = factors / scale, difference.constant / scale
        if isinstance(op, ast.Eq) and len(indices) > 1:
            others = tuple((-factors[1:] / factors[0]).tolist())
            found.append(Sum(indices, others, float(-constant / factors[0]), is_declared=True))
            continue
        is_strict = isinstance(op, ast.Lt | ast.Gt)
        for sign in _SIGNS[type(op)]:
            signed = tuple((sign * factors).tolist())
            found.append(Inequality(indices, signed, sign * constant, is_strict, wording, is_declared=True))
    return found
