import numpy as np
import pytest
from sklearn.datasets import make_moons


@pytest.fixture(scope="session")
def moons():
    rows, _ = make_moons(8000, noise=0.04, random_state=42)
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (2 * (rows - low) / (high - low) - 1).astype(np.float32)
