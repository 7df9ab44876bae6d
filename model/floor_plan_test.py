"""The arrows of ARCHITECTURE.md, checked on every #include: who may know whom."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)

# The rooms that each room may include from, itself first.
MAY_INCLUDE = {
    "model": {"model"},
    "sim": {"sim", "model", "workloads"},
    "workloads": {"workloads", "model"},
    "real": {"real", "model"},
    "bindings": {"bindings", "sim", "workloads", "model"},
}
# How settings are read (strict TOML, quantities with units) is one thing for scenarios and for the daemon's configuration.
MAY_INCLUDE_TOO = {"real": ("model/settings/",)}
# Inside model/: what a part must not know.
MODEL_MUST_NOT = {
    "host": {"xen", "protocol", "pages", "cache", "policies", "server", "client"},
    "xen": {"protocol", "pages", "cache", "policies", "server", "client", "host/events", "host/storage", "host/tasks"},
    "cache": {"host/grants", "host/storage", "pages", "protocol", "server", "client"},
    "pages": {"cache", "server", "client"},
    "protocol": {"cache", "pages", "server", "client"},
    "server": {"client"},
    "client": {"server"},
}
# model/ is the standard library's only: none of what talks to a system, a simulator or Xen.
FOREIGN = re.compile(
    r"^(simgrid|xen|xenctrl|boost|fmt|toml|nlohmann|CLI|sys/|linux/|unistd|fcntl|dirent|poll|"
    r"pthread|fuse|fstream|filesystem|cstdio|stdio|iostream|thread|mutex|condition_variable)")


def sources(room):
    return [f for f in sorted((ROOT / room).rglob("*")) if f.suffix in {".h", ".cpp"}]


def is_test(path):
    # The conformance suite runs over every host, so its programs know the suite and their host.
    return (path.stem.endswith(("_test", "_bench", "_fuzz")) or "tests" in path.parts
            or "conformance" in path.stem)


def includes(path):
    for match in INCLUDE.finditer(path.read_text()):
        yield match.group(1), match.group(2)


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_rooms_include_only_what_they_may(room):
    wrong = []
    for path in sources(room):
        if is_test(path):
            continue
        for kind, name in includes(path):
            target = name.split("/")[0]
            if name.startswith(MAY_INCLUDE_TOO.get(room, ())):
                continue
            if kind == '"' and target in MAY_INCLUDE and target not in MAY_INCLUDE[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []


def test_model_needs_the_standard_library_only():
    files = [p for p in sources("model") if not is_test(p)]
    assert len(files) > 20
    wrong = [f"{p.relative_to(ROOT)} includes <{name}>" for p in files for kind, name in includes(p)
             if kind == "<" and FOREIGN.match(name)]
    assert wrong == []


@pytest.mark.parametrize("part", MODEL_MUST_NOT)
def test_parts_of_model_keep_to_the_floor_plan(part):
    wrong = []
    for path in sources(f"model/{part}"):
        if is_test(path):
            continue
        for kind, name in includes(path):
            for forbidden in MODEL_MUST_NOT[part]:
                if kind == '"' and (name.startswith(f"model/{forbidden}/")
                                    or name.startswith(f"model/{forbidden}.")):
                    # the file operations that every client offers are the one thing shared upwards
                    if not name.endswith("file_system.h"):
                        wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []
