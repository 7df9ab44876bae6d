"""Holds every #include to the plan, which is ARCHITECTURE.md's table of rooms.

A room is a folder with a row in the table. It may include from itself, from the rooms in its third column (a name
without a slash is a neighbour in the same part: `host` in model/ is model/host), and the libraries in its fourth.
Test code is the conformance suite, what lies in a folder tests/, what the build makes a test or a benchmark, and what
includes gtest or benchmark. It may use the suite and every room that the rooms of its part
may use. No production code includes test code. The plan has no circles.
"""
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ("model", "sim", "workloads", "real", "bindings")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
ROW = re.compile(r"^\| `([a-z0-9_/]+)/` \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.M)
NONE = "—"

# Libraries by the headers that belong to them. What a POSIX system, Linux or a sanitizer brings is "system"; what has no dot and no
# slash is the standard library's.
LIBRARIES = {
    "benchmark": r"benchmark/", "boost": r"boost/", "cap-ng": r"cap-ng\.h", "CLI11": r"CLI/", "fmt": r"fmt/",
    "fuse": r"fuse3/", "gtest": r"(gtest|gmock)/", "json": r"nlohmann/", "pybind11": r"pybind11/",
    "simgrid": r"(simgrid|xbt)/", "spdlog": r"spdlog/", "toml++": r"toml\+\+/", "xen": r"xen", "xxhash": r"xxhash\.h",
    "zstd": r"zstd\.h",
    "system": r"(sys/|linux/|sanitizer/|[a-z]+\.h$)",
}
TEST_LIBRARIES = {"benchmark", "gtest"}
# A host has files and threads; what of the core needs them says so.
IN_MODEL = {"files": r"(cstdio|filesystem|fstream|iostream)$", "threads": r"(condition_variable|future|mutex|thread)$"}


class Room:
    def __init__(self, name, knows, libraries):
        self.name = name
        self.knows = {self._full(word) for word in knows.replace(",", " ").split() if word != NONE}
        self.libraries = {word for word in libraries.replace(",", " ").split() if word != NONE}

    def _full(self, word):
        word = word.strip("`").rstrip("/")
        return word if word in PARTS or "/" in word and word.split("/")[0] in PARTS \
            else f"{self.name.split('/')[0]}/{word}"

    @property
    def part(self):
        return self.name.split("/")[0]


@functools.cache
def plan():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    return {name: Room(name, knows, libraries) for name, _, knows, libraries in ROW.findall(text)}


def sources(part):
    return [p for p in sorted((ROOT / part).rglob("*")) if p.suffix in {".h", ".hpp", ".cpp"}]


@functools.cache
def includes(path):
    found = []
    for kind, name in INCLUDE.findall(path.read_text()):
        if kind == '"' and "/" not in name:  # a neighbour
            name = str((path.parent / name).relative_to(ROOT))
        found.append((kind, name))
    return found


def library(header, part=None):
    known = LIBRARIES | IN_MODEL if part == "model" else LIBRARIES
    for name, pattern in known.items():
        if re.match(pattern, header):
            return name
    return None if re.fullmatch(r"[a-z0-9_]+", header) else header


def room_of(path):
    """Returns the room with the longest name that the path lies in, or None."""
    while (path := path.rpartition("/")[0]):
        if path in plan():
            return plan()[path]
    return None


@functools.cache
def built_as_tests():
    return {lists.parent / f"{name}.cpp" for part in PARTS for lists in (ROOT / part).rglob("CMakeLists.txt")
            for name in re.findall(r"xenfs_(?:test|benchmark)\((\w+)", lists.read_text())}


@functools.cache
def is_test(path):
    name = path.relative_to(ROOT)
    return "tests" in name.parts or name.is_relative_to("model/conformance") or path in built_as_tests() or any(
        kind == "<" and library(name) in TEST_LIBRARIES for kind, name in includes(path))


def test_every_folder_with_sources_is_a_room():
    rooms = {room_of(str(p.relative_to(ROOT))) for part in PARTS for p in sources(part)}
    named = {room.name for room in rooms if room}
    assert set(plan()) - named == set(), "rows of ARCHITECTURE.md without sources"
    # Two levels: a part's folders are rooms themselves, not corners of the part.
    homeless = set()
    for part in PARTS:
        for path in sources(part):
            name = str(path.relative_to(ROOT))
            room = room_of(name)
            if room is None or room.name == part and part != "bindings":
                homeless.add(str(path.parent.relative_to(ROOT)))
    assert homeless == set(), "folders without a row in ARCHITECTURE.md"


def test_the_plan_names_rooms_and_libraries_that_there_are():
    for room in plan().values():
        assert room.knows <= set(plan()), room.name
        assert room.libraries <= set(LIBRARIES | IN_MODEL), room.name


def test_the_plan_has_no_circle():
    left = {name: set(room.knows) for name, room in plan().items()}
    while left:
        free = {name for name, knows in left.items() if not knows & set(left)}
        assert free, f"these know each other: {sorted(left)}"
        left = {name: knows for name, knows in left.items() if name not in free}


@pytest.mark.parametrize("part", PARTS)
def test_rooms_include_what_the_plan_says(part):
    of_part = [room for room in plan().values() if room.part == part]
    assert of_part
    tests_know = {"model/conformance"}.union(*({room.name} | room.knows for room in of_part))
    wrong = []
    for path in sources(part):
        name = str(path.relative_to(ROOT))
        room = room_of(name)
        if room is None:
            continue  # the first test says so
        allowed = tests_know if is_test(path) else room.knows | {room.name}
        for kind, header in includes(path):
            if kind == "<":
                continue
            target = room_of(header)
            if target is None or target.name not in allowed:
                wrong.append(f"{name} includes {header}")
            elif not is_test(path) and (ROOT / header).exists() and is_test(ROOT / header):
                wrong.append(f"{name} includes {header}, which is test code")
    assert wrong == []


@pytest.mark.parametrize("part", PARTS)
def test_rooms_include_the_libraries_that_the_plan_says(part):
    wrong = []
    for path in sources(part):
        name = str(path.relative_to(ROOT))
        room = room_of(name)
        if room is None:
            continue
        for kind, header in includes(path):
            if kind != "<":
                continue
            used = library(header, part)
            allowed = LIBRARIES | IN_MODEL if is_test(path) else room.libraries
            if used is not None and used not in allowed:
                wrong.append(f"{name} includes <{header}>")
    assert wrong == []


@pytest.mark.parametrize("library_name, only", [
    ("simgrid", "sim/engine"), ("xen", "real/"), ("fuse", "real/mount")])
def test_a_system_is_reached_through_one_room(library_name, only):
    rooms = [room.name for room in plan().values() if library_name in room.libraries]
    assert rooms and all(name.startswith(only) for name in rooms), rooms
