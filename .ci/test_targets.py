#!/usr/bin/python3
"""Prints the build targets of the tests that ctest's options select: test_targets.py BUILD_DIR [OPTION...]

ctest knows the tests of a program only once the program is built, so the names in the sources are looked at as well:
what is not built yet, or has a new test, is found there. Prints `all` where neither says which program it is.
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DECLARED = re.compile(r"^\s*(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)", re.M)


def ctest(build, options):
    """The tests that ctest selects, as (name, program)."""
    run = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1", *options],
                         capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"lab: ctest does not take these options: {run.stderr.strip() or run.stdout.strip()}")
    for test in json.loads(run.stdout)["tests"]:
        yield test["name"], (test.get("command") or [""])[0]


def wanted_names(options):
    """The regular expression behind -R, if there is one."""
    for at, option in enumerate(options):
        if option in ("-R", "--tests-regex"):
            return options[at + 1] if at + 1 < len(options) else None
        if option.startswith("--tests-regex="):
            return option.partition("=")[2]
        if option.startswith("-R"):
            return option[2:]
    return None


def test_programs(build):
    """Name of each test program, with its own source."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        program = re.search(r" -o \S*CMakeFiles/(\w+)\.dir/", entry["command"])
        source = pathlib.Path(entry["file"])
        if program and source.stem == program[1] and source.stem.endswith("_test") and source.is_file():
            yield program[1], source


def declares(source, regex):
    tests = DECLARED.findall(source.read_text())
    return any(regex.search(f"{suite}.{name}") or regex.search(suite) for suite, name in tests)


def main(build, options):
    programs = dict(test_programs(build))
    by_path = {str(build / "tests" / name): name for name in programs}
    targets = {by_path[program] for _, program in ctest(build, options) if program in by_path}
    names = wanted_names(options)
    unbuilt = [name for name in programs if not (build / "tests" / name).exists()]
    if names is None:  # by label or number: ctest has to know every test
        targets.update(unbuilt)
    else:
        try:
            regex = re.compile(names)
        except re.error as error:
            sys.exit(f"lab: -R {names}: {error}")
        targets.update(name for name, source in programs.items() if declares(source, regex))
        if not targets and unbuilt:  # perhaps a suite in a library, such as model/conformance
            targets.update(unbuilt)
    print(*sorted(targets), sep="\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:])
