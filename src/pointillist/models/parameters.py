"""Declarations of parameters (type, range or choices, default and help), shared by all interfaces."""

import inspect
import operator
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

C = TypeVar("C")

_KINDS = {bool: "true or false", int: "an integer", float: "a number", dict: "a dictionary", list: "a list of rules"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a configuration.

    Attributes:
        help: Description in one sentence; the command line shows it.
        details: Further sentences for the Python reference.
        unset: Meaning of None.
        choices: Allowed values; empty for all values of the type.
        above: Exclusive lower bound.
        below: Exclusive upper bound.
        also: Numbers allowed outside the range.
        is_option: Whether the command line has an option for it.
        decides_network: Whether a fitted model keeps the value it was trained with.
        is_gaussian_only: Whether only Gaussian diffusion uses it.
    """

    help: str
    details: str = ""
    unset: str = ""
    choices: tuple[str | None, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    is_even: bool = False
    also: tuple[int, ...] = ()
    is_option: bool = False
    decides_network: bool = False
    is_gaussian_only: bool = False
    name: str = ""
    types: tuple[Any, ...] = ()
    default: Any = None

    @property
    def allowed(self) -> str:
        """The allowed values as text, for example "an integer from 1 to 10, or None"."""
        if self.choices:
            return f"one of {', '.join(map(repr, self.choices))}"
        words = [_KINDS[kind] for kind in self.types if kind in _KINDS]
        words[-1] = words[-1].replace("an integer", "an even integer") if self.is_even else words[-1]
        words[-1] += self._range()
        text = " or ".join([*map(str, self.also), *words])
        return f"{text}, or None" if type(None) in self.types else text

    def _range(self) -> str:
        if self.low is not None and self.high is not None:
            return f" from {_number(self.low)} to {_number(self.high)}"
        ends = {"of at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        words = [f"{word} {_number(end)}" for word, end in ends.items() if end is not None]
        return f" {' and '.join(words)}" if words else ""

    def checked(self, value: Any) -> Any:
        """Returns a value converted to its Python type, or raises a ValueError that lists the allowed values."""
        for kind in self.types:
            if kind is Any or self._is_of(kind, value):
                return kind(value) if kind in (bool, int, float, str, dict, list) else value
        raise ValueError(self.allowed)

    def _is_of(self, kind: type, value: Any) -> bool:
        import numpy as np

        from pointillist.arguments import is_number

        if kind is bool:
            return isinstance(value, bool | np.bool_)
        if kind is list:
            from pointillist.rules.declared import Declared

            return isinstance(value, list | tuple) and all(isinstance(each, Declared) for each in value)
        if kind is str:
            return isinstance(value, str) and value in self.choices
        if kind not in (int, float):
            return isinstance(value, kind)
        is_one = isinstance(value, int | np.integer) if kind is int else is_number(value)
        return is_one and not isinstance(value, bool) and (value in self.also or self._is_in_range(value))

    def _is_in_range(self, value: float) -> bool:
        ends = (self.low, operator.ge), (self.high, operator.le), (self.above, operator.gt), (self.below, operator.lt)
        return all(end is None or is_within(value, end) for end, is_within in ends) and not (self.is_even and value % 2)

    @property
    def text(self) -> str:
        """Its description for the Python reference."""
        parts = [self.help]
        if self.types[0] in (int, float) or (self.choices and not self.details):
            words = self.allowed.removesuffix(", or None")
            parts.append(f"{words[0].upper()}{words[1:]}.")
        if type(None) in self.types and self.unset:
            parts.append(f"None is {self.unset}.")
        return " ".join([*parts, self.details]).rstrip()


def parameter(default: Any, help: str, **declared: Any) -> Any:
    """Declares a field of a dataclass as a parameter; see `Parameter`."""
    return field(default=default, metadata={"parameter": Parameter(help=help, **declared)})


def reused(declared: Parameter) -> Any:
    """Declares a field of a dataclass as a parameter of another one."""
    return field(default=declared.default, metadata={"parameter": declared})


def parameters_of(kind: type) -> dict[str, Parameter]:
    """Returns the declared parameters of a dataclass by name, in declaration order."""
    return {
        each.name: replace(each.metadata["parameter"], name=each.name, types=_types(each.type), default=each.default)
        for each in fields(kind)
        if "parameter" in each.metadata
    }


def _types(hint: Any) -> tuple[Any, ...]:
    return tuple(get_origin(each) or each for each in (get_args(hint) if isinstance(hint, UnionType) else (hint,)))


class Checked:
    """Base class of dataclasses of declared parameters: a ValueError names the parameter and its allowed values."""

    def __post_init__(self) -> None:
        for name, declared in parameters_of(type(self)).items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, declared.checked(value))
            except ValueError as error:
                raise ValueError(f"{name} must be {error}, not {shown(value)}") from error


def documented(configuration: type) -> Callable[[C], C]:
    """Replaces PARAMETERS in the docstring of a class or method by the parameters of a configuration."""

    def document(described: C) -> C:
        wrapper = textwrap.TextWrapper(112, " " * 4, " " * 8, break_on_hyphens=False)
        text = "\n".join(wrapper.fill(f"{name}: {each.text}") for name, each in parameters_of(configuration).items())
        described.__doc__ = inspect.cleandoc(described.__doc__ or "").replace("    PARAMETERS", text)
        return described

    return document


def shown(value: Any) -> str:
    """Formats a value for an error message: its repr, shortened."""
    try:
        text = repr(value)
    except ValueError:  # an integer with thousands of digits
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:100]}…"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e+", "e")
