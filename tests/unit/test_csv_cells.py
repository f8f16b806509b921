"""CSV for spreadsheets: nothing that somebody wrote is computed."""

import csv
import io

import pytest

from execlave_server.web.csv_cells import csv_text, plain_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil")'])
def test_a_formula_becomes_text(text):
    """A cell that a spreadsheet would compute begins with an apostrophe."""
    assert plain_cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "cell"), [("plain", "plain"), ("", ""), (None, ""), (-5, "-5"), (1.5, "1.5"), ("a=b", "a=b")]
)
def test_all_else_stays(value, cell):
    """Words and figures of our own are as they are; nothing is an empty cell."""
    assert plain_cell(value) == cell


def test_a_table_reads_back():
    """Commas, quotes and line ends survive."""
    rows = [["a,b", 'say "x"'], ["two\nlines", "=1"]]
    read = list(csv.reader(io.StringIO(csv_text(["one", "two"], rows))))

    assert read == [["one", "two"], ["a,b", 'say "x"'], ["two\nlines", "'=1"]]
