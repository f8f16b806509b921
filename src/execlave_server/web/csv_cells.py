"""CSV that a spreadsheet only reads: a cell that would be a formula becomes text."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(value: object) -> str:
    """A cell's text; one that a spreadsheet would compute gets an apostrophe before it. Nothing is an empty cell."""
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV with a heading line."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([plain_cell(column) for column in columns])
    writer.writerows([plain_cell(cell) for cell in row] for row in rows)
    return written.getvalue()
