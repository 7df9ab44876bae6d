#!/usr/bin/python3
"""clang-tidy over what changed since main, and over the rooms held to it, with a stamp for each clean source.

A stamp is named by all that the verdict depends on: the checks, the tool, the command, and the bytes of the source and
of the project's headers that it includes. So nothing that was found clean is looked at twice, and a time limit only
puts the rest off: what is left is said, and the next run goes on there.
"""
import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAMPS = ROOT / "build/lint"
# Rooms that have been found clean as a whole, without their tests so far. The list only grows; elsewhere a source is
# held to .clang-tidy once it changes. `lint.py --all PATH` looks at a room that is to join.
HELD = ("bindings/", "model/cache/", "model/conformance/", "model/host/", "model/pages/", "model/policies/",
        "model/protocol/", "model/settings/", "real/common/", "real/libxenfs/")
TEST = re.compile(r"_(test|bench|fuzz)\.cpp$|/tests/")
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)


def git(*arguments):
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return run.stdout.split("\n")[:-1] if run.returncode == 0 else []


def changed_files():
    """What differs from where this branch left main, and what git does not know yet."""
    base = next((b for name in ("origin/main", "main") for b in git("merge-base", "HEAD", name)), "HEAD")
    names = git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard")
    return {ROOT / name for name in names}


@functools.cache
def included(path):
    """The project's files that `path` includes, itself among them, through all levels."""
    found, todo = set(), [path]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for name in INCLUDE.findall(file.read_bytes()):
            for directory in (ROOT, file.parent):
                if (target := directory / name.decode()).is_file():
                    todo.append(target)
                    break
    return frozenset(found)


@functools.cache
def digest(path):
    return hashlib.sha256(path.read_bytes()).digest()


def stamp(source, command, tool):
    key = hashlib.sha256(tool + command.encode().replace(bytes(ROOT), b""))
    for file in sorted(included(source)):
        key.update(digest(file))
    return STAMPS / key.hexdigest()


def is_held(source):
    name = str(source.relative_to(ROOT))
    return name.startswith(HELD) and not TEST.search(name)


def units_of(changed, sources):
    """The sources to look at for these changes: a changed header is seen through the least source that includes it."""
    chosen = {s for s in sources if s in changed}
    for header in (f for f in changed if f.suffix == ".h" and f.is_file()):
        over = [s for s in sources if header in included(s)]
        if over and not chosen.intersection(over):
            chosen.add(min(over, key=lambda s: (s.stem != header.stem, len(included(s)), s)))
    return chosen


def lint(source, end):
    if time.monotonic() > end:
        return None
    return subprocess.run(["clang-tidy", "-p", ROOT / "build", "--quiet", "--extra-arg=-Wno-unknown-warning-option",
                           source], capture_output=True, text=True, cwd=ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--held", action="store_true", help="the rooms that are held to it as well")
    parser.add_argument("--all", action="store_true", help="every source, those that changed first")
    parser.add_argument("--seconds", type=float, default=20, help="start nothing after that long (default 20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("only", nargs="*", help="beginnings of paths, such as model/cache/")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    database = json.loads((ROOT / "build/compile_commands.json").read_text())
    commands = {pathlib.Path(entry["file"]): entry["command"] for entry in database}
    sources = [s for s in commands if s.is_relative_to(ROOT) and s.is_file()
               and str(s.relative_to(ROOT)).startswith(tuple(options.only) or "")]
    tool = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    tool += (ROOT / ".clang-tidy").read_bytes()
    changed = units_of(changed_files(), sources)
    STAMPS.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in sources if options.all or s in changed or (options.held and is_held(s))]
    stamps = {s: stamp(s, commands[s], tool) for s in chosen}
    todo = [s for s in sorted(stamps, key=lambda s: (s not in changed, stamps[s])) if not stamps[s].exists()]
    failed, left, printed = 0, 0, set()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for source, run in zip(todo, pool.map(lambda s: lint(s, end), todo)):
            if run is None:
                left += 1
            elif run.returncode == 0:
                stamps[source].touch()
            else:
                failed += 1
                if run.stdout not in printed:  # a header's finding comes with each source
                    print(run.stdout or run.stderr, flush=True)
                printed.add(run.stdout)
    print(f"clang-tidy: {len(stamps)} sources, {len(todo) - left} looked at now, {failed} with findings"
          + (f"; {left} left for the next run" if left else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
