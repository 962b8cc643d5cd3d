"""The cache of compiled programs."""

import importlib.util
import sys

import pytest

from pointillist.engine import devices


@pytest.fixture
def jax_cache(monkeypatch):
    """Returns the cache class of JAX from a fresh import, without the library's changes."""
    spec = importlib.util.find_spec("jax._src.lru_cache")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "jax._src.lru_cache", module)
    return module.LRUCache


def test_the_cache_stays_below_its_limit_and_is_measured_seldom(tmp_path, monkeypatch, jax_cache):
    measured, evict = [], jax_cache._evict_if_needed

    def measure(self, *, additional_size=0):
        measured.append(additional_size)
        evict(self, additional_size=additional_size)

    jax_cache._evict_if_needed = measure
    monkeypatch.setattr(devices, "SPARE", 200)
    devices._measure_seldom(100)
    cache = jax_cache(str(tmp_path), max_size=1000)
    for i in range(100):
        cache.put(f"key{i}", bytes(30))
        assert devices._cleaned(tmp_path) <= 1000
    assert devices._cleaned(tmp_path) > 700 and cache.get("key99") == bytes(30) and cache.get("key0") is None
    # After 3 programs, and then after 6 each.
    assert measured == [200] * (1 + (100 - 4) // 6)
    cache.put("large", bytes(300))
    assert measured[-1] == 300 and devices._cleaned(tmp_path) <= 1000


def test_parts_are_removed(tmp_path, jax_cache):
    cache = jax_cache(str(tmp_path), max_size=1000)
    cache.put("whole", bytes(30))
    (tmp_path / "part-cache").write_bytes(b"half")
    assert devices._cleaned(tmp_path) == 30 and cache.get("part") is None and cache.get("whole") == bytes(30)
    assert devices._cleaned(tmp_path / "none") == 0
