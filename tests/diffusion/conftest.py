"""Forbids implicit promotion of dtypes. (Optax promotes its step count.)"""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_dtypes():
    with jax.numpy_dtype_promotion("strict"):
        yield
