"""Reads stored results, and says in one sentence where a file is not what a figure needs."""
import pathlib

import pandas


class DataError(Exception):
    """Says what is wrong, and in which file."""


def load(directory, name, columns):
    """Returns the table data/NAME.csv, which must have at least `columns`."""
    path = pathlib.Path(directory) / f"{name}.csv"
    try:
        table = pandas.read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path}: not there; run './lab reproduce' first") from None
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table: {error}") from None
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; there are {', '.join(table.columns)}")
    if table.empty:
        raise DataError(f"{path}: has no rows")
    return table
