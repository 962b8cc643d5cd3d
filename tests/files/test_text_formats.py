"""Dates and numbers in the formats of files: found for a whole column, read as what they are, and written back."""

from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa
import pytest

from pointillist.files.reading import read_table
from pointillist.files.writing import TableWriter
from pointillist.tables.date_formats import DATES, is_format
from pointillist.tables.text_formats import forms_in

DAYS = [date(2023, 1, 5) + timedelta(days=17 * i) for i in range(30)]
MOMENTS = [datetime(2023, 1, 5, 7, 3) + timedelta(days=17 * i, minutes=47 * i) for i in range(30)]


def unpadded(day):
    return f"{day.month}/{day.day}/{day.year}"


FORMATS = {
    "german": (lambda t: t.strftime("%d.%m.%Y"), DAYS, "%d.%m.%Y"),
    "american": (unpadded, DAYS, "%-m/%-d/%Y"),
    "american, padded": (lambda t: t.strftime("%m/%d/%Y"), DAYS, "%m/%d/%Y"),
    "british": (lambda t: f"{t.day}/{t.month}/{t.year}", DAYS, "%-d/%-m/%Y"),
    "two digits of the year": (lambda t: t.strftime("%d.%m.%y"), DAYS, "%d.%m.%y"),
    "slashes": (lambda t: t.strftime("%Y/%m/%d"), DAYS, "%Y/%m/%d"),
    "name of the month": (lambda t: f"{t:%b} {t.day}, {t.year}", DAYS, "%b %-d, %Y"),
    "long name": (lambda t: f"{t.day} {t:%B} {t.year}", DAYS, "%-d %B %Y"),
    "month": (lambda t: t.strftime("%Y-%m"), [day.replace(day=1) for day in DAYS], "%Y-%m"),
    "eight digits, day first": (lambda t: t.strftime("%d%m%Y"), DAYS, "%d%m%Y"),
    "eight digits, month first": (lambda t: t.strftime("%m%d%Y"), DAYS, "%m%d%Y"),
    "date and time": (lambda t: f"{unpadded(t)} {t:%H:%M}", MOMENTS, "%-m/%-d/%Y %H:%M"),
    "half days": (lambda t: f"{t:%d.%m.%Y} {t:%I:%M %p}", MOMENTS, "%d.%m.%Y %I:%M %p"),
    "zone": (lambda t: t.strftime("%d.%m.%Y %H:%M+02:00"), MOMENTS, "%d.%m.%Y %H:%M+02:00"),
    "iso": (lambda t: t.isoformat(), MOMENTS, "%Y-%m-%dT%H:%M:%S"),
    "clock": (lambda t: f"{t.hour % 12 or 12}:{t:%M %p}", MOMENTS, "%-I:%M %p"),
    "seconds since 1970": (lambda t: str(int(t.replace(tzinfo=UTC).timestamp())), MOMENTS, "%s"),
    "milliseconds since 1970": (lambda t: str(1000 * int(t.replace(tzinfo=UTC).timestamp())), MOMENTS, "%Q"),
}


def read(folder, cells, name="time", **options):
    path = folder / "table.csv"
    path.write_text(f"{name},word\n" + "".join(f'"{cell}",{"ab"[i % 2]}\n' for i, cell in enumerate(cells)))
    return read_table(path, **options).arrow


@pytest.mark.parametrize(("write", "moments", "form"), FORMATS.values(), ids=FORMATS)
def test_a_format_is_found_and_written_back(tmp_path, write, moments, form):
    cells = [*map(write, moments), ""]
    table = read(tmp_path, cells)
    found = table["time"].to_pylist()
    assert forms_in(table.schema)["time"] == form and found.pop() is None
    if isinstance(found[0], time):
        assert found == [moment.time() for moment in moments]
    else:
        assert [each.replace(tzinfo=None) if isinstance(each, datetime) else each for each in found] == moments
    writing = TableWriter(tmp_path / "again.csv", table.column_names, table.schema.types, 31, forms_in(table.schema))
    with writing as writer:
        writer.write(table.columns)
    assert (tmp_path / "again.csv").read_text().replace('"', "") == (tmp_path / "table.csv").read_text().replace(
        '"', ""
    )


def test_dates_of_digits_in_the_order_of_iso_stay_integers(tmp_path):
    table = read(tmp_path, [day.strftime("%Y%m%d") for day in DAYS])
    assert table["time"].type == pa.int64() and not forms_in(table.schema)


def test_a_day_between_year_and_month_is_declared(tmp_path):
    cells = ["2021-01-01", "2021-12-12", "2021-26-01", "2021-30-01", "2022-31-01"]
    assert read(tmp_path, cells)["time"].to_pylist() == cells
    declared = read(tmp_path, cells, types={"time": "date:%Y-%d-%m"})
    assert declared["time"].to_pylist()[2] == date(2021, 1, 26) and forms_in(declared.schema)["time"] == "%Y-%d-%m"


@pytest.mark.parametrize(
    ("cells", "first", "other"),
    [
        (["3/4/2024", "5/6/2024"], date(2024, 3, 4), "%-d/%-m/%Y"),
        (["03-04-2024", "05-06-2024"], date(2024, 4, 3), "%m-%d-%Y"),
    ],
)
def test_ambiguous_dates_are_read_and_said(tmp_path, cells, first, other):
    with pytest.warns(UserWarning, match=f"either order: 'time' .*{other} fits too.*--type COLUMN=date:%d/%m/%Y"):
        assert read(tmp_path, cells)["time"].to_pylist()[0] == first
    declared = read(tmp_path, cells, types={"time": f"date:{other.replace('-d', 'd', 1).replace('-m', 'm', 1)}"})
    assert declared["time"].to_pylist()[0] != first
    usual = read(tmp_path, cells, usual={"time": other})
    assert usual["time"].to_pylist() == declared["time"].to_pylist()


def test_one_day_above_twelve_decides(tmp_path):
    assert read(tmp_path, ["3/4/2024", "13/4/2024"])["time"].to_pylist()[0] == date(2024, 4, 3)


@pytest.mark.parametrize(
    "cells",
    [
        ["30.02.2024", "01.02.2024"],
        ["3/4/2024", "Mar 3, 2024"],
        ["2024-W53", "2024-W01"],
        ["1.2.3", "1.2.4"],
    ],
)
def test_other_texts_stay_text(tmp_path, cells):
    assert read(tmp_path, cells)["time"].to_pylist() == cells


def test_numbers_that_only_look_like_times_stay_numbers(tmp_path):
    assert read(tmp_path, ["1700000000", "1700000001"], name="code")["code"].type == pa.int64()
    assert read(tmp_path, ["12", "1700000001"])["time"].type == pa.int64()
    with pytest.warns(UserWarning, match="integers are read as times since 1970: 'createdAt'"):
        assert read(tmp_path, ["1700000000", "1700000001"], name="createdAt")["createdAt"].type == pa.timestamp("s")
    assert read(tmp_path, ["5", "-7"], types={"time": "date:%s"})["time"].to_pylist()[0] == datetime(
        1970, 1, 1, 0, 0, 5
    )
    assert read(tmp_path, ["1700000000", "1700000001"], types={"time": "integer"})["time"].type == pa.int64()
    # Three or more different valid dates are needed.
    assert read(tmp_path, ["22082024", "23082024"] * 9)["time"].type == pa.int64()


def test_declared_formats(tmp_path):
    assert read(tmp_path, ["05MAR24"], min_rows=1)["time"].to_pylist() == ["05MAR24"]
    assert read(tmp_path, ["05Mar24", "07Apr68"], types={"time": "date:%d%b%y"})["time"].to_pylist() == [
        date(2024, 3, 5),
        date(2068, 4, 7),
    ]
    assert read(tmp_path, ["13·01·2024", "01·02·2024"], types={"time": "date:%d·%m·%Y"})["time"].to_pylist() == [
        date(2024, 1, 13),
        date(2024, 2, 1),
    ]
    with pytest.raises(ValueError, match="'time' cannot be read as date:%d/%m/%Y, as not every cell has this format"):
        read(tmp_path, ["13/13/2024", "1/1/2024"], types={"time": "date:%d/%m/%Y"})
    for form in ("%d/%m", "%Y-%m-%d %q", "%G-W%V", "%Y%Y%m", "%I:%M", "", "%Y-%m-%d\n", f"%Y-%m{'-' * 50}"):
        assert not is_format(form)
        with pytest.raises(ValueError, match="types are text, integer, number, date and date:FORMAT"):
            read(tmp_path, ["1"], types={"time": f"date:{form}"})
    assert all(map(is_format, DATES))


NUMBERS = {
    "dollars": (["$1,234.50", "$0.05", "-$12.00"], [1234.5, 0.05, -12.0], "$#,##0.00"),
    "euros": (["1.234,5 €", "0,25 €", "-3 €"], [1234.5, 0.25, -3.0], "#.##0,## €"),
    "percent": (["12.5%", "0.0%", "-7.5%"], [12.5, 0.0, -7.5], "0.0%"),
    "thousands": (["1,234,567", "12", "-1,000"], [1234567, 12, -1000], "#,##0"),
    "spaces": (["1 234.5", "12.0", "-1 000.0"], [1234.5, 12.0, -1000.0], "# ##0.0"),
    "pounds": (["£ 3", "£ 12", "£ 1"], [3, 12, 1], "£ 0"),
}


@pytest.mark.parametrize(("cells", "values", "form"), NUMBERS.values(), ids=NUMBERS)
@pytest.mark.filterwarnings("ignore:.*without their marks")
def test_marks_of_numbers_are_written_back(tmp_path, cells, values, form):
    table = read(tmp_path, cells)
    assert table["time"].to_pylist() == values and forms_in(table.schema) == {"time": form}
    with TableWriter(tmp_path / "again.csv", ["time"], [table["time"].type], 3, {"time": form}) as writer:
        writer.write([table["time"]])
    again = (tmp_path / "again.csv").read_text().replace('"', "").splitlines()[1:]
    assert again == cells


@pytest.mark.filterwarnings("ignore:.*without their marks")
def test_marks_of_other_rows_decide(tmp_path):
    with pytest.raises(ValueError, match="whose comma may mark decimals or thousands"):
        read(tmp_path, ["1,234", "5,678"])
    assert read(tmp_path, ["1,234", "5,678"], usual={"time": "#,##0"})["time"].to_pylist() == [1234, 5678]
    assert read(tmp_path, ["1,234", "5,678"], usual={"time": "#.##0,000"})["time"].to_pylist() == [1.234, 5.678]
    assert read(tmp_path, ["1.234", "5.678"], usual={"time": "#.##0,0"})["time"].to_pylist() == [1234, 5678]


def test_yes_and_no_stay_as_they_are(tmp_path):
    assert read(tmp_path, ["yes", "no"])["time"].to_pylist() == ["yes", "no"]
