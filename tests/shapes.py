"""Checks shapes of arrays at run time. Functions for users check their other arguments themselves."""

from typing import get_args

from beartype import beartype
from jaxtyping import AbstractArray


def check(function):
    """Checks the arguments and the result of a function that are annotated as arrays."""
    kept = {name: hint for name, hint in function.__annotations__.items() if _is_array(hint)}
    function.__annotations__ = kept
    return beartype(function)


def _is_array(hint):
    return (isinstance(hint, type) and issubclass(hint, AbstractArray)) or any(map(_is_array, get_args(hint)))
