#!/usr/bin/env python3
"""Draws what `./lab sim compare CAPTURE --json FILE` found: ./lab figure FILE.json PICTURE.png"""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import pandas  # noqa: E402

from analysis import style  # noqa: E402
from analysis.data import DataError  # noqa: E402

COLUMNS = ("arm", "guests", "pages_peak", "unique_pages_peak", "completion_s", "disk_read_bytes")
PAGES_PER_MIB, MIB = 256, 1 << 20
XENFS = "#0072B2"
OTHERS = "#999999"
PANELS = (("memory_mib", "host memory for file data, peak (MiB)"), ("completion_s", "time until the last guest is done (s)"),
          ("disk_read_mib", "read from the disk (MiB)"))


def load(file):
    """Returns the comparison as a table, one row an arm."""
    try:
        rows = json.loads(pathlib.Path(file).read_text())
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not JSON: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file}: not what './lab sim compare … --json' writes: a list of arms is wanted")
    table = pandas.DataFrame(rows)
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise DataError(f"{file}: not what './lab sim compare … --json' writes: no {', '.join(missing)}")
    failed = table.failed_operations.fillna(0).astype(int) if "failed_operations" in table else 0
    return table.assign(failed_operations=failed, memory_mib=table.pages_peak / PAGES_PER_MIB, disk_read_mib=table.disk_read_bytes / MIB)


def draw(plt, table):
    figure, axes = plt.subplots(1, 3, figsize=(12, 1.6 + 0.36 * len(table)), sharey=True)
    places = range(len(table))[::-1]
    cut_short = set(table.arm[table.failed_operations > 0])
    for axis, (column, label) in zip(axes, PANELS):
        top = max(table[column].max(), 1e-9)
        for place, arm, value in zip(places, table.arm, table[column]):
            axis.barh(place, value, 0.66, color=XENFS if arm.startswith("xenfs") else OTHERS, alpha=0.4 if arm in cut_short else 1)
            axis.text(value + 0.015 * top, place, f"{value:,.1f}" if value < 100 else f"{value:,.0f}", va="center", fontsize=8)
        axis.set(xlabel=label, xlim=(0, 1.18 * top))
        axis.grid(axis="y", visible=False)
        axis.set_axisbelow(True)
    axes[0].set_yticks(list(places), [f"{arm}\n({failed:,} operations failed)" if failed else arm
                                      for arm, failed in zip(table.arm, table.failed_operations)])
    private = table[table.arm == "private"]
    if len(private):
        distinct = private.unique_pages_peak.iloc[0] / PAGES_PER_MIB
        axes[0].axvline(distinct, color="#000000", linestyle=":", linewidth=1)
        axes[0].text(distinct, len(table) - 0.45, f" distinct contents: {distinct:,.0f} MiB", fontsize=8, va="bottom")
        axes[0].set_ylim(-0.6, len(table) + 0.1)
    guests = int(table.guests.iloc[0])
    name = pathlib.Path(str(table.capture.iloc[0])).name if "capture" in table else ""
    figure.suptitle(f"{name}: {guests} guest{'s' if guests > 1 else ''} at the same time, simulated", fontsize=11)
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="lab figure", description=__doc__)
    parser.add_argument("comparison", help="FILE.json of ./lab sim compare")
    parser.add_argument("picture", type=pathlib.Path, help="where the figure goes: .png, .pdf or .svg")
    options = parser.parse_args(arguments)
    if options.picture.suffix not in (".png", ".pdf", ".svg"):
        raise DataError(f"{options.picture}: the name of a picture ends in .png, .pdf or .svg")
    table = load(options.comparison)
    plt = style.apply()
    figure = draw(plt, table)
    whole = options.picture.with_name(f"{options.picture.stem}.{os.getpid()}.tmp{options.picture.suffix}")
    try:
        figure.savefig(whole)
        os.replace(whole, options.picture)
    except OSError as error:
        raise DataError(f"{options.picture}: cannot be written: {error.strerror}") from None
    finally:
        whole.unlink(missing_ok=True)
    print(options.picture)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DataError as error:
        print(f"lab figure: {error}", file=sys.stderr)
        sys.exit(2)
