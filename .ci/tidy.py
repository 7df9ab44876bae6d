#!/usr/bin/python3
"""What no formatter sees: line length, file length, words and openings of comments that we do without.

.ci/tidy.json counts what is left of each in each room. A count may only go down: more is an error, less is written into
the file at once (--lower), which belongs to the same commit.
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / ".ci/tidy.json"
LONGEST_FILE = 400
SHOWN = 12
LONGEST_LINE = {".cpp": 100, ".h": 100, ".hpp": 100, ".py": 120}
CPP = {".cpp", ".h", ".hpp"}
# Folk names, for which the field has verbs and nouns: resume, notify, transport, retire, unmap, invalidate.
WORDS = re.compile(r"(?i)(?<![a-z])(go_on|doom|doomed|limbo|seats?|speaks?|aside|tend_[a-z_]+)(?![a-z])")
# A comment that begins so has mostly no subject.
OPENING = re.compile(r"^\s*//+\s*(Of|Who|Whose|The same) ")
COMMENT = re.compile(r"^\s*//")
TABLE = re.compile(r"^\s*// clang-format (off|on)")  # rows of a table may be as long as they are
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


def room(name):
    """The first two levels of a path: model/server, real/mount, .ci."""
    return "/".join(name.split("/")[:-1][:2]) or "."


def files():
    run = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    # A tree without git, as it comes in an archive: what is built stands in build/ and out/.
    names = run.stdout.splitlines() or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    for name in names:
        path = ROOT / name
        if name.startswith(("build", "out")):
            continue
        if path.suffix in LONGEST_LINE and path.is_file():
            yield name, path.suffix, path.read_text().split("\n")


def findings():
    """Each finding as (rule, where it is counted, how many, what to print)."""
    for name, kind, lines in files():
        if len(lines) - 1 > LONGEST_FILE:
            yield "file longer than 400 lines", name, len(lines) - 1, f"{name}: {len(lines) - 1} lines"
        table = False
        for number, line in enumerate(lines, 1):
            where = f"{name}:{number}"
            if TABLE.match(line):
                table = "off" in line
            if len(line) > LONGEST_LINE[kind] and not table:
                yield "long line", room(name), 1, f"{where}: {len(line)} columns of {LONGEST_LINE[kind]}"
            if line != line.rstrip():
                yield "space at a line's end", room(name), 1, where
            if kind not in CPP:
                continue
            for word in WORDS.finditer(line):
                yield "folk word", room(name), 1, f"{where}: {word[0]}"
            if UNFINISHED.search(line):
                yield "unfinished", room(name), 1, f"{where}: {line.strip()}"
            opening = OPENING.match(line)
            if opening and (number == 1 or not COMMENT.match(lines[number - 2])):
                yield "opening of a comment", room(name), 1, f"{where}: {line.strip()}"


def main(arguments):
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    counts, texts = {}, {}
    for rule, place, many, text in findings():
        counts.setdefault(rule, {}).setdefault(place, 0)
        counts[rule][place] += many
        texts.setdefault((rule, place), []).append(text)
    more = fewer = 0
    for rule in sorted(counts.keys() | kept.keys()):
        for place in sorted(counts.get(rule, {}).keys() | kept.get(rule, {}).keys()):
            now, allowed = counts.get(rule, {}).get(place, 0), kept.get(rule, {}).get(place, 0)
            fewer += now < allowed
            if now > allowed and arguments != ["--accept"]:
                more += 1
                shown = texts[rule, place]
                rest = [f"and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []
                print(f"{rule}, {place}: {now} where {allowed} may be", *shown[:SHOWN], *rest, sep="\n  ")
    if more == 0 and (fewer or arguments == ["--accept"]) and arguments:
        KEPT.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
        print(f"tidy: {fewer} counts went down; .ci/tidy.json says so now, commit it too")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
