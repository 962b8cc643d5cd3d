"""CSV files with other delimiters, encodings, and numbers with decimal or thousands marks."""

import gzip
import re
import warnings
from functools import partial

import numpy as np
import pandas
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.files.csv_format import CsvForm
from pointillist.files.reading import read_numbers, read_table
from pointillist.files.texts import Notes, typed
from pointillist.files.writing import TableWriter
from pointillist.tables.text_formats import FORM, form_in, written

read_mixed = partial(read_table, kind="mixed")

N = 40
PLAIN = "größe,name\n" + "".join(f"{i / 2},{'Köln' if i % 2 else 'Bern'}\n" for i in range(N))
SIZES = np.arange(N) / 2


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def columns(table):
    return {name: column.to_pylist() for name, column in zip(table.names, table.arrow.columns, strict=True)}


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_encodings_are_recognized(tmp_path, ending, encoding, delimiter):
    path = write(tmp_path / f"a.{ending}", PLAIN.replace(",", delimiter), encoding)
    found = columns(read_table(path))
    assert list(found) == ["größe", "name"] and found["größe"] == SIZES.tolist()
    assert found["name"][:2] == ["Bern", "Köln"]


def test_tsv_files_have_tabs(tmp_path):
    assert columns(read_table(write(tmp_path / "a.tsv", "x\ty,z\n1\tone, two\n2\tthree\n"))) == {
        "x": [1, 2],
        "y,z": ["one, two", "three"],
    }


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "utf-16-be", "iso8859_15"])
def test_a_given_encoding_is_used(tmp_path, encoding):
    path = write(tmp_path / "a.csv", PLAIN, encoding)
    with pytest.raises(ValueError, match=r"a\.csv: (is not UTF-8|looks like UTF-16) text: give .*--encoding"):
        read_table(path)
    assert columns(read_table(path, form=CsvForm(encoding=encoding)))["name"][1] == "Köln"
    with pytest.raises(ValueError, match="is not ascii text: give another --encoding"):
        read_table(write(tmp_path / "b.csv", PLAIN), form=CsvForm(encoding="ascii"))


def test_numeric_tables_may_have_any_delimiter_and_encoding(tmp_path):
    path = write(tmp_path / "a.csv", "x;y\n1;2\n3;4.5\n", "utf-16")
    np.testing.assert_array_equal(read_numbers(path).rows, [[1, 2], [3, 4.5]])
    path = write(tmp_path / "b.csv", "x:y\n1:2\n3:4\n")
    np.testing.assert_array_equal(read_numbers(path, form=CsvForm(":")).rows, [[1, 2], [3, 4]])
    assert read_numbers(write(tmp_path / "c.csv", "x\n1\n2\n\n\n", "utf-16")).rows.tolist() == [[1], [2]]


KEPT_BY_COMMAS = {
    "lists in quotes": 'x,y\n"a;b",1\n"c;d",2\n',
    "lists": "x,y\na;b;c,1\nd;e;f,2\n",
    "both in all lines": "x;x,y\na;b,1\nc;d,2\n",
    "a sentence in a single column": "x\nNo; not so\nYes; indeed\n",
}


@pytest.mark.parametrize("text", KEPT_BY_COMMAS.values(), ids=KEPT_BY_COMMAS)
def test_commas_have_priority_as_delimiters(tmp_path, text):
    names = read_mixed(write(tmp_path / "a.csv", text)).names
    assert names == tuple(text.partition("\n")[0].split(","))


def test_commas_between_semicolons_may_be_decimal_marks_in_all_lines(tmp_path):
    path = write(tmp_path / "a.csv", "a,b;c,d\n1,5;2,5\n2,5;3,5\n")
    assert read_mixed(path).names == ("a", "b;c", "d")
    with pytest.raises(
        ValueError, match=r"the first line must hold the names .*, but it holds numbers: 1,5, 2,5; give"
    ):
        read_table(write(tmp_path / "b.csv", "1,5;2,5\n2,5;3,5\n-,5;1,5\n"), form=CsvForm(decimal=","))


ROWS = {
    "text that is there again": "39, State-gov, 13\n50, Private, 13\n38, State-gov, 9\n",
    "a date and a number that is not there again": "70.5,Paris,2024-01-01\n71,Lyon,2024-01-02\n72.5,Rome,2024-02-02\n",
    "a date": "Ann,2024-01-01\nBob,2024-01-02\n",
    "a boolean among numbers": "1.5,true\n2,true\n3,false\n",
    "a boolean and text": "a,true\nb,true\nc,false\n",
    "a missing cell": "39,,Private\n50,1,Gov\n3,2,Private\n",
    "a value twice": "7,7,Paris\n8,2,Lyon\n9,2,Lyon\n",
    "numbers": "1,2\n3,4\n",
}
NAMES = {
    "years": "country,2020,2021\nA,2020,5\nB,3,4\n",
    "answers": "who,1,2\nA,1,2\nB,2,1\n",
    "words": "kind,of\nkind,of\nA,B\n",
    "an index of pandas": ",0,1,c\n0,1.5,2,a\n1,3,4,b\n",
    "days": "shop,2024-01-01,2024-01-02\nA,1,2\nB,3,4\n",
    "a date of dates": "date,x\n2024-01-01,1\n2024-01-02,2\n",
}


@pytest.mark.parametrize("text", ROWS.values(), ids=ROWS)
def test_a_row_of_values_is_not_read_as_names(tmp_path, text):
    fields = [field.strip() for field in text.split("\n")[0].split(",")]
    path, shown = write(tmp_path / "a.csv", "\n" + text), re.escape(", ".join(fields))
    with pytest.raises(ValueError, match=rf"must hold the names of .*, but it .*: {shown}; give --no-header if"):
        read_table(path)
    table = read_table(path, form=CsvForm(has_names=False))
    assert table.names == tuple("012")[: len(fields)] and len(table) == text.count("\n")


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_names_may_look_like_values(tmp_path, text):
    assert read_table(write(tmp_path / "a.csv", text)).names == tuple(text.split("\n")[0].split(","))


def test_a_table_of_numbers_without_names(tmp_path):
    path = write(tmp_path / "a.csv", "1.5,2\n3,4\n5,6\n")
    table = read_numbers(path, "1", form=CsvForm(has_names=False))
    assert table.rows.tolist() == [[1.5], [3], [5]] and table.label.values.tolist() == [2, 4, 6]


def test_commas_in_names_and_numbers_between_semicolons(tmp_path):
    path = write(tmp_path / "a.csv", 'price, in €;"a;b"\n1,5;x\n2,25;y\n,5;"z;\nz"\n')
    with pytest.warns(UserWarning, match=r"read as numbers without their marks: 'price, in €' \('1,5' is 1\.5\)"):
        found = columns(read_table(path))
    assert found == {"price, in €": [1.5, 2.25, 0.5], "a;b": ["x", "y", "z;\nz"]}


def test_a_header_longer_than_the_inspected_part_is_read(tmp_path):
    names = [f"column {i:05}" for i in range(5000)]
    path = write(tmp_path / "a.csv", "\n".join(";".join(row) for row in (names, ["1"] * 5000, ["2"] * 5000)))
    assert read_numbers(path).names == tuple(names)


@pytest.mark.parametrize(
    "given", [{"delimiter": ""}, {"delimiter": ";;"}, {"delimiter": '"'}, {"delimiter": "ü"}, {"decimal": ";"}]
)
def test_invalid_csv_options_are_refused(given):
    (name,) = given
    with pytest.raises(ValueError, match=f"--{name} takes "):
        CsvForm(**given)


@pytest.mark.parametrize("name", ["unknown", "rot13", "base64", "\0"])
def test_unknown_encodings_are_refused(name):
    with pytest.raises(ValueError, match="--encoding takes the name of an encoding"):
        CsvForm(encoding=name)


def test_csv_options_need_a_csv_file(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    with pytest.raises(ValueError, match=r"a\.npy: only a CSV file has a delimiter"):
        read_table(tmp_path / "a.npy", form=CsvForm(";"))


MARKED = {
    "decimal commas": (["1,5", "-2,25", "10"], None, [1.5, -2.25, 10]),
    "three digits in all cells": (["0,125", "1,500"], None, [0.125, 1.5]),
    "thousands": (["1,234.5", "7", "1,234,567"], None, [1234.5, 7, 1234567]),
    "points between thousands": (["1.234,5", "7", "1.234.567"], None, [1234.5, 7, 1234567]),
    "integers with thousands": (["1,234,567", "12"], None, [1234567, 12]),
    "spaces": (["1 234", "12\u00a0345,5", "1\u202f000"], None, [1234, 12345.5, 1000]),
    "apostrophes": (["1'234.50", "12’345"], None, [1234.5, 12345]),
    "percent": (["12%", "0.5 %", "-3%"], None, [12, 0.5, -3]),
    "dollars": (["$1,234.50", "-$3", "$0"], None, [1234.5, -3, 0]),
    "euros": (["1.234,50 €", "3 €", "-0,5 €"], None, [1234.5, 3, -0.5]),
    "a comma by choice": (["1,234", "5,678"], ",", [1.234, 5.678]),
    "a point by choice": (["1,234", "5,678"], ".", [1234, 5678]),
    "points between thousands by choice": (["1.234", "5.678"], ",", [1234, 5678]),
}


@pytest.mark.parametrize("texts,decimal,expected", MARKED.values(), ids=MARKED)
def test_marks_are_removed_from_numbers(texts, decimal, expected):
    notes = Notes()
    found = typed("x", pa.chunked_array([[*texts, None]]), decimal=decimal, notes=notes)
    assert found.to_pylist() == [*expected, None] and len(notes.warnings) == 1
    whole = all(float(each).is_integer() for each in expected) and not any("." in t and "," in t for t in texts)
    assert pa.types.is_integer(found.type) == (whole and texts != ["0,125"])


LEFT_AS_TEXT = {
    "two currencies": ["$5", "€5"],
    "percent signs in some cells": ["5%", "0.05"],
    "ranges": ["0-5%", "5-10%"],
    "groups of two digits": ["12,34,56", "1,2"],
    "three numbers": ["1,2,3", "4,5,6"],
    "a leading zero": ["0,123,456", "1,234,567"],
    "words": ["1,5", "many"],
    "codes": ["01 234", "02 345"],
}


@pytest.mark.parametrize("texts", LEFT_AS_TEXT.values(), ids=LEFT_AS_TEXT)
def test_other_texts_are_kept(texts):
    assert typed("x", pa.chunked_array([texts])).to_pylist() == texts


def test_a_point_that_cannot_separate_thousands_is_refused():
    """A cell has the same meaning with any other cells."""
    assert typed("x", pa.chunked_array([["1.500", "2.250"]]), "number", decimal=",").to_pylist() == [1.5, 2.25]
    for texts in (["1.500", "2.25"], ["2.5"], ["7", "1.5e3"]):
        with pytest.raises(ValueError, match=r"column 'x' holds '.*', whose point cannot separate thousands"):
            typed("x", pa.chunked_array([texts]), decimal=",")
        found = typed("x", pa.chunked_array([texts]), "number", decimal=",")
        assert found.to_pylist() == [float(text) for text in texts]


def test_numbers_without_marks_cause_no_warning():
    notes = Notes()
    assert typed("x", pa.chunked_array([["1", "20"]]), decimal=",", notes=notes).to_pylist() == [1, 20]
    assert typed("x", pa.chunked_array([["02139", "10115"]]), decimal=",", notes=notes)[0].as_py() == "02139"
    assert not notes.warnings


def test_labels_are_kept_as_text():
    assert typed("x", pa.chunked_array([["1,5", "2,5"]]), is_label=True).to_pylist() == ["1,5", "2,5"]


def test_an_ambiguous_comma_is_reported(tmp_path):
    path = write(tmp_path / "a.csv", "x;y\n1,234;a\n5,678;b\n")
    with pytest.raises(ValueError, match=r"a\.csv: column 'x' holds numbers such as '1,234', whose comma may mark"):
        read_table(path)
    with pytest.warns(UserWarning, match="without their marks"):
        assert columns(read_table(path, form=CsvForm(decimal=",")))["x"] == [1.234, 5.678]
    assert columns(read_table(path, types={"x": "text"}))["x"] == ["1,234", "5,678"]


def test_marks_are_removed_if_a_numeric_type_is_requested(tmp_path):
    path = write(tmp_path / "a.csv", 'x,y\n"1,5",a\n"2,5",b\n')
    with pytest.warns(UserWarning, match="without their marks"):
        assert columns(read_mixed(path, types={"x": "number"}))["x"] == [1.5, 2.5]


def test_a_warning_names_categories_with_numeric_cells(tmp_path):
    codes = [*map(str, range(20)), "V57", "250.83"] * 3
    path = write(tmp_path / "a.csv", "code,x\n" + "".join(f"{code},a\n" for code in codes))
    said = r"a\.csv: columns are read as categories because some cells are not numbers: 'code' \('V57'\); clear these"
    with pytest.warns(UserWarning, match=said):
        assert columns(read_table(path))["code"] == codes
    with warnings.catch_warnings(action="error"):
        assert columns(read_table(path, types={"code": "text"}))["code"] == codes
        assert columns(read_table(write(tmp_path / "b.csv", "size\nS\nM\n38\n")))["size"] == ["S", "M", "38"]


MOMENTS = {
    "minutes": ["13:45", "00:05", "23:59"],
    "seconds": ["13:45:00", "00:05:30", "23:59:59"],
    "times with minutes": ["2024-03-20 13:45", "2024-03-21 00:00", "2024-03-22 07:30"],
    "of ISO 8601": ["2024-03-20T13:45:10", "2024-03-21T00:00:00", "2024-03-22T07:30:00"],
    "an offset": ["2024-03-20T13:45:10+02:00", "2024-03-21T00:00:00+02:00", "2024-03-22T07:30:00+02:00"],
    "minutes with an offset": ["2024-03-20T13:45-0330", "2024-03-21T00:00-0330", "2024-03-22T07:30-0330"],
    "offset in hours": ["2024-03-20 13:45:10+02", "2024-03-21 00:00:00+02", "2024-03-22 07:30:00+02"],
    "UTC": ["2024-03-20T13:45:10Z", "2024-03-21T00:00:00Z", "2024-03-22T07:30:00Z"],
    "days": ["2024-03-20", "2024-03-21", "2024-03-22"],
}


@pytest.mark.parametrize("texts", MOMENTS.values(), ids=MOMENTS)
def test_times_are_written_in_their_original_form(tmp_path, texts):
    path = write(tmp_path / "a.csv", "when,x\n" + "".join(f"{each},a\n" for each in [*texts * 3, ""]))
    model = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(read_table(path)).model_
    rows = model.codec.layout.restore(model.codec.decode(np.zeros((0, model.codec.width)), {}, slice(0)))
    assert rows.schema.field("when").type == read_table(path).arrow.schema.field("when").type
    given = read_table(path).arrow
    for ending in (".csv", ".csv.gz", ".parquet"):
        new = tmp_path / f"new{ending}"
        with TableWriter(new, given.column_names, given.schema.types, len(given), model.codec.layout.forms) as writer:
            writer.write(given.columns)
        assert read_table(new).arrow["when"].to_pylist() == given["when"].to_pylist()
    assert (tmp_path / "new.csv").read_text().replace('"', "") == path.read_text()


def test_a_time_is_not_truncated_to_the_form_of_the_others():
    assert written(pa.array([60, 90], pa.time32("s")), "%H:%M").to_pylist() == ["00:01:00", "00:01:30"]


def test_times_of_several_offsets_are_read_as_utc(tmp_path):
    path = write(tmp_path / "a.csv", "when,x\n2024-03-20T13:45:00+02:00,a\n2024-03-20T13:45:00+01:00,b\n")
    with pytest.warns(UserWarning, match=r"a\.csv: times have several offsets from UTC and are read as UTC: 'when'"):
        found = read_table(path).arrow["when"]
    assert str(found.type) == "timestamp[s, tz=UTC]" and [each.as_py().hour for each in found] == [11, 12]


def test_a_point_next_to_decimal_commas_is_reported(tmp_path):
    path = write(tmp_path / "a.csv", "price;lat;name\n1.234,50;52.514;a\n7,25;4.125;b\n")
    said = r"column 'lat' holds numbers such as '52\.514', whose point may mark .*, or thousands as in column 'price'"
    with pytest.raises(ValueError, match=said):
        read_table(path)
    with pytest.warns(UserWarning, match="without their marks"):
        assert columns(read_table(path, types={"lat": "number"}))["lat"] == [52.514, 4.125]
        assert columns(read_table(path, form=CsvForm(decimal=",")))["lat"] == [52514, 4125]
    for other in ("52.51", "0.514"):
        path.write_text(f"price;lat;name\n1.234,50;{other};a\n7,25;4.125;b\n")
        with pytest.warns(UserWarning, match="without their marks"):
            assert columns(read_table(path))["lat"] == [float(other), 4.125]
    assert typed("x", pa.chunked_array([["52.514", "1.234,50"]])).to_pylist() == [52514, 1234.5]


def test_words_that_pandas_reads_as_missing_are_missing(tmp_path):
    words = ["None", "NA", "null", "NaN", "<NA>", "n/a", "#N/A", ""]
    lines = [f"{word},{i}.5\n" for i, word in enumerate([*words, "none", "a"])]
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(lines))
    assert columns(read_table(path))["x"] == [None] * 8 + ["none", "a"]
    assert pandas.read_csv(path)["x"].isna().tolist() == [True] * 8 + [False] * 2
    path.write_text('x,y\n"None",1\nNone,2\n')
    assert columns(read_table(path))["x"] == ["None", None]
    path.write_text('x,y\n"None",a\n2,b\n')
    assert columns(read_table(path))["x"] == [None, 2]


@pytest.mark.parametrize(
    ("form", "kind", "is_known"),
    [
        (b"%Y-%m-%dT%H:%M:%S+02:00", pa.timestamp("s", "+02:00"), True),
        (b"%H:%M", pa.time32("s"), True),
        (b"%H:%M", pa.date32(), False),
        (b"%H:%M", pa.int64(), False),
        (b"%Y" * 1000, pa.timestamp("s"), False),
        (b"\xff", pa.timestamp("s"), False),
    ],
)
def test_an_impossible_time_format_in_a_schema_is_ignored(form, kind, is_known):
    assert (form_in(pa.field("x", kind, metadata={FORM: form})) is not None) == is_known
