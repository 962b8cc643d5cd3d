"""Untrusted text, wherever the library prints it."""

import csv
import io
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pointillist.foreign_text import csv_cell, figure_text, legend_text, markdown_text, printable, terminal_text

TEXTS = st.text(st.sampled_from("ab[]/\\$_^{}|`*<>!=+-@'\"\n\r\t\x1b\x9b\u202e\ud800 é＝"), max_size=12)


@given(TEXTS)
def test_terminal(text):
    console = Console(file=io.StringIO(), width=1000, force_terminal=True)
    console.print(terminal_text(text))
    assert console.file.getvalue() == f"{printable(text)}\n"
    assert printable(text).isprintable()
    printable(text).encode()


def test_readable_text_is_kept():
    assert printable("naïve 東京 ½") == "naïve 東京 ½"
    assert printable("\x1b]0;title\x07\u202e\n\ud800") == r"\x1b]0;title\x07\u202e\n\ud800"


@settings(max_examples=50)
@given(TEXTS)
def test_figure(text):
    from matplotlib.cbook import is_math_text
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    assert not is_math_text(figure_text(text))
    figure = Figure(figsize=(3, 1), dpi=20)
    figure.text(0, 0, figure_text(text))
    figure.legend(handles=[Line2D([], [], label=legend_text(text))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that the font lacks
        figure.canvas.draw()
    assert [each.get_text() for each in figure.legends[0].get_texts()] == [legend_text(text)]


def test_long_names_are_cut_before_dollars_are_escaped():
    assert figure_text("$$$$", 3) == r"\$\$…"


@given(TEXTS)
def test_markdown(text):
    written = markdown_text(text)
    assert "\n" not in written and re.sub(r"\\(.)", r"\1", written) == printable(text)
    bare = re.sub(r"\\.", "-", written)
    assert not re.search(r"[|\[`*]|<[A-Za-z/!?]", bare)


@pytest.mark.parametrize("number", ["-1.5", "+3", "-inf", "1e-4", "-1e-4", "0"])
def test_numbers_are_numbers_in_csv(number):
    assert csv_cell(number) == number and csv_cell(float(number)) == float(number)


@given(TEXTS)
def test_csv(text):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([csv_cell(text), -1.5])
    ((cell, number),) = csv.reader(io.StringIO(buffer.getvalue()))
    assert not re.match("[=+@＝-]", cell) and number == "-1.5"
    assert cell.removeprefix("'") == printable(text).removeprefix("'")
