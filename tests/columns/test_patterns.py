"""Patterns of keys: their strings, how many there are, and the pattern of given codes."""

import re

import numpy as np
import pytest

from pointillist.columns.patterns import Pattern, found_pattern, shuffled

COUNTS = {
    "[A-Z]{3}-[0-9]{6}": 26**3 * 10**6,
    r"\d{2}": 100,
    "^k[0-9]{1,3}$": 1110,
    r"[AB]\.[-x]?": 6,
    "[a-c0-9_]": 14,
    r"[\w-]{2}": 64**2,
    "A?B?": 4,
    "[0-9]{3,4}": 11_000,
    "[a-z0-9]{32}": 36**32,
    "é[à-ã]": 4,
}


@pytest.mark.parametrize(("text", "count"), COUNTS.items(), ids=COUNTS)
def test_strings_match_their_pattern_and_all_differ(text, count):
    pattern = Pattern(text, salt=7)
    assert pattern.count == count
    n = min(count, 5000)
    strings = pattern.strings(np.arange(n))
    assert len({*strings.tolist()}) == n and all(re.fullmatch(text, each, re.ASCII) for each in strings)
    some = np.array([3, 0, n - 1]) % n
    np.testing.assert_array_equal(pattern.strings(some), strings[some])


def test_strings_come_in_random_order_shorter_ones_first():
    strings = Pattern("[0-9]{1,3}").strings(np.arange(1110)).tolist()
    assert [len(each) for each in strings] == [1] * 10 + [2] * 100 + [3] * 1000
    numbers = np.array(strings[110:], int)
    assert abs(np.corrcoef(numbers, np.arange(1000))[0, 1]) < 0.1 and sorted(numbers) == [*range(1000)]
    assert Pattern("[0-9]{3}", salt=1).strings(np.arange(5)).tolist() != strings[110:115]
    # In the far end of a long pattern, every position varies.
    ends = Pattern("[a-z]{40}").strings(np.array([0, 1, 2**61]))
    assert all(len({each[i] for each in ends}) > 1 for i in (0, 15, 39))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 257, 5000])
def test_permutations_are_permutations(n):
    found = shuffled(np.arange(n, dtype=np.uint64), n, 3)
    assert sorted(found.tolist()) == [*range(n)]


REFUSED = {
    "a+": r"not simple at '\+'",
    "(a|b)": r"not simple at '\(a\|b\)'",
    "[^a]": r"not simple at '\[\^a\]'",
    r"\s{3}": r"not simple at '\\\\s",
    "a.b": r"not simple at '.b'",
    "": "needs at least one character",
    "a{0}": "needs at least one character",
    "[b-a]": "not simple",
    r"[\t]": "not simple",
    "a{3,2}": "give the smaller number first",
    "a{2000}": "too long strings",
    "[0-9]{1,20}-[0-9]{1,20}": "too many lengths",
    "[0-9]{1,2}[0-9]{1,2}": "makes a string in two ways",
    "ab?b?": "makes a string in two ways",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=REFUSED)
def test_other_patterns_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        Pattern(text)


def codes(make):
    return [make(i) for i in range(1, 201)]


FOUND = {
    "INV-[0-9]{6}": codes(lambda i: f"INV-{i:06}"),
    "k[1-9][0-9]{0,5}": codes(lambda i: f"k{i}"),
    "[A-Z]{2}[1-9][0-9]{3}": codes(lambda i: f"{chr(65 + i % 26)}{chr(65 + i // 26)}{1000 + i * 37}"),
    "[1-9][0-9]{17}": codes(lambda i: str(10**17 * (i % 9 + 1) + i)),
    r"v[1-9]\.[0-9]{2,5}": codes(lambda i: f"v{1 + i % 9}.{i:02}"),
    "[0-9a-f]{8}": codes(lambda i: f"{i * 2654435761 % 2**32:08x}"),
    "[0-9A-Z]{5}-x": codes(lambda i: f"{np.base_repr(36**4 + i * 2**18 - 1, 36)[-5:]:0>5}-x"),
    None: codes(lambda i: f"Anna{'abcdefghij'[i % 10] * (i // 10 + 1)}"),
}


@pytest.mark.parametrize(("pattern", "given"), [(k, v) for k, v in FOUND.items()], ids=map(str, FOUND))
def test_the_pattern_of_codes_is_found(pattern, given):
    found = found_pattern(given)
    assert found == pattern
    if found is not None:
        assert all(re.fullmatch(found, code) for code in given) and Pattern(found).count >= 200 * 100


def test_words_and_text_have_no_pattern():
    for given in (["Ann 1", "Robert 2"], ["red", "tan"], ["a1", "b2c"], ["12-3", "12.3"]):
        assert found_pattern(given) is None
