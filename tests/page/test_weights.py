"""Weights as text in a page."""

import base64
import zlib

import numpy as np
import pytest

from pointillist.page.weights import STEPS, weights_content


def decode_integers(text, count, low_bits):
    """Decodes a text to integers by Python's decoders."""
    planes = zlib.decompress(base64.b85decode(text.replace(",", "<")))
    planes = np.frombuffer(planes, np.uint8).astype(np.int64)
    n = -(-count // 4) if low_bits else 0
    low = (planes[:n, None] >> np.array([0, 2, 4, 6]) & 3).ravel()[:count]
    folded = planes[n : n + count] + 256 * planes[n + count :]
    rest = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    return 4 * rest + low if low_bits else rest


@pytest.mark.parametrize(("factor", "low_bits", "bytes_each"), [(1, 2, 1.2), (20, 0, 0.65)])
def test_weights_are_integer_multiples_of_their_steps(factor, low_bits, bytes_each):
    rng = np.random.default_rng(0)
    tensors = {"a": rng.normal(size=(400, 330)).astype(np.float32), "b": rng.normal(size=330).astype(np.float32)}
    tensors["a"][3, 5] = -90.0
    scale = factor * rng.uniform(0.5, 2, size=(400, 1))
    content = weights_content(tensors, "steps", {"a": scale})
    assert content["shapes"] == [["a", (400, 330), "inputs"], ["b", (330,), None]]
    step = np.frombuffer(base64.b64decode(content["scales"]), "<f4")
    np.testing.assert_allclose(step, np.sqrt(np.mean(tensors["a"] ** 2)) / STEPS * scale[:, 0], rtol=1e-5)
    found = decode_integers(content["weights"], 400 * 330, low_bits).reshape(400, 330) * step[:, None]
    assert (np.abs(found - tensors["a"]) <= 0.501 * step[:, None]).all()
    rest = np.frombuffer(base64.b64decode(content["rest"]), "<f2")
    np.testing.assert_array_equal(rest, tensors["b"].astype(np.float16))
    assert content["low_bits"] == low_bits and len(content["weights"]) < 1.25 * 400 * 330 * bytes_each


def test_weights_that_cannot_be_packed_give_none():
    assert weights_content({"a": np.array([np.nan], np.float32)}, "float32") is None
    assert weights_content({"a": np.array([1e6], np.float32)}, "steps") is None
    lone = np.zeros((600, 600), np.float32)
    lone[0, 0] = 1.0
    assert weights_content({"a": lone}, "steps") is not None
