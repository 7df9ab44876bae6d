#!/usr/bin/python3
"""Says which tests were skipped, from JUnit files: skips.py FILE...; with CI=true each must be in .ci/skips.txt."""
import fnmatch
import os
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

LIST = pathlib.Path(__file__).resolve().parent / "skips.txt"


def allowed():
    """(pattern of a test's name, reason) of each line."""
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = line.split(None, 1)
            yield pattern, reason


def skipped(path):
    """(name, reason) of each skipped test: ctest's names alone, pytest's with their module."""
    for case in ElementTree.parse(path).iter("testcase"):
        mark = case.find("skipped")
        if mark is None:
            continue
        name, place = case.get("name", ""), case.get("classname", "")
        yield name if place in ("", name) else f"{place}.{name}", mark.get("message") or "no reason"


def main(paths):
    patterns = list(allowed())
    strangers = []
    total = 0
    for path in paths:
        if not pathlib.Path(path).is_file():
            continue  # that suite did not get so far, and says so itself
        for name, reason in skipped(path):
            total += 1
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern, _ in patterns):
                strangers.append(f"  {name}: {reason}")
    print(f"skipped: {total} tests, {len(strangers)} of them not in .ci/skips.txt", *sorted(set(strangers)), sep="\n")
    return 1 if strangers and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
