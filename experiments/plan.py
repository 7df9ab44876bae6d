"""Turns sweep files (sweeps/NAME.toml) into the runs that a figure needs.

A sweep is data: one or more parts, each a scenario, a grid whose values are all combined, and what
each value sets. The scale (quick or full) picks the grid's values, the seeds, and settings of its own:

    [[part]]
    name = "guests"
    scenario = "../scenarios/kernel-build.toml"
    grid = {arm = ["private", "xenfs-name"], guests = [1, 2]}
    quick = {grid = {guests = [1, 2]}, seeds = [1], set = {"workload.fraction" = 0.1}}
    full = {seeds = [1, 2, 3]}
    set.guests = "guests.count"               # a plain value goes into this key
    set.cache_mib = {key = "arm.cache", unit = "MiB"}
    set.arm.private = {"arm.name" = "private"}  # a labelled value sets these

`weight` names the axis that a run's time is proportional to, `cost` (in a scale) is the CPU time in seconds for each unit of it, or
of a run: what the estimate is made of.

The scale "sensitivity" is a small set of runs on which a figure's claims are checked again with each cost constant at the
ends of its range (sensitivity.py); a sweep without one takes its quick runs for it. A part that has tables for some scales only
belongs to those. At the top, sensitivity.quick lists the constants that the quick scale tries, and says.quick and
says.full tell the caption how much of the workload is run.

A run is known by its key: a hash of all that decides its result (scenario file, settings, seed, name and content of the
captures and cost model named there, and the simulator's program), wherever these files lie. Its result is
OUT/runs/KEY.json, so equal runs of different figures are one, and a run is done again only if something that decides it
has changed.
"""
import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
import re
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
SWEEPS = HERE / "sweeps"
POLICIES = HERE / "policies"
SCALES = ("quick", "full")
SENSITIVITY = "sensitivity"
PATH_KEYS = ("workload.captures", "costs.model")


class PlanError(Exception):
    """Says what is wrong with a sweep file, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Run:
    figure: str
    part: str
    labels: tuple      # ((axis, value), …) in the grid's order
    scenario: pathlib.Path
    settings: tuple    # ((key, value), …)
    seed: int
    weight: float      # expected CPU time, s
    python: bool       # a policy in it is written in Python
    content: tuple     # hashes of all else that decides the result: scenario, files, simulator
    key: str

    def changed(self, settings=(), seed=None):
        """Returns the same run with other settings besides, or with another seed."""
        settings = tuple({**dict(self.settings), **dict(settings)}.items())
        seed = self.seed if seed is None else seed
        return dataclasses.replace(self, settings=settings, seed=seed, key=key_of(self.content, settings, seed))

    def sets(self):
        """Returns the settings as --set takes them."""
        return [f"{key}={as_toml(value)}" for key, value in self.settings]

    def arguments(self):
        """Returns the simulator's arguments, without outputs."""
        return ["run", str(self.scenario), *(word for one in self.sets() for word in ("--set", one)),
                "--seed", str(self.seed)]


def key_of(content, settings, seed):
    """Hashes what decides a result. A file counts by its content and its name: a copy of this tree elsewhere has the
    same keys."""
    scenario, files, simulator = content
    named = {key: names_of(value) if key in PATH_KEYS else value for key, value in settings}
    text = json.dumps([scenario, sorted(named.items()), seed, files, simulator])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def as_toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(as_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def names():
    """Returns the figures that have a sweep, in the order in which they are run."""
    order = ["flip-copy-map", "stealing", "sharing-over-time", "memory-vs-guests",
             "build-time-vs-guests", "iozone-surface"]
    found = {path.stem for path in SWEEPS.glob("*.toml")}
    return [n for n in order if n in found] + sorted(found - set(order))


def read(path):
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path}: {error}") from None


@functools.lru_cache(maxsize=None)
def digest(path):
    """Hashes a file's content, or its absence where it is missing (the simulator will say so)."""
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError:
        return "missing"


def files_of(table, directory):
    """Returns the files that a scenario table names."""
    found = []
    for key in PATH_KEYS:
        section, name = key.split(".")
        value = table.get(section, {}).get(name, [])
        found += [str((directory / v).resolve()) for v in ([value] if isinstance(value, str) else value)]
    return found


def names_of(paths):
    return pathlib.Path(paths).name if isinstance(paths, str) else [pathlib.Path(path).name for path in paths]


def resolve(settings, directory):
    """Makes paths in settings absolute, since a sweep file gives them relative to itself."""
    out = {}
    for key, value in settings.items():
        if key in PATH_KEYS:
            value = [str((directory / v).resolve()) for v in value] if isinstance(value, list) \
                else str((directory / value).resolve())
        out[key] = value
    return out


def appended(part, labels, scenario):
    """Joins a text setting to which several axes add (iozone's options)."""
    append = part.get("append")
    if not append:
        return {}
    section, name = append["key"].split(".")
    words = [read(scenario)[section][name]]
    for axis, value in labels.items():
        how = append.get(axis)
        if how is not None:
            words.append(how.format(value) if isinstance(how, str) else how[value])
    return {append["key"]: " ".join(words)}


def settings_of(part, axis, value, where):
    if axis in part.get("append", {}):
        return {}
    how = part.get("set", {}).get(axis)
    if isinstance(how, str):
        return {how: value}
    if isinstance(how, dict) and set(how) == {"key", "unit"}:
        return {how["key"]: f"{value} {how['unit']}"}
    if isinstance(how, dict) and str(value) in how:
        return how[str(value)]
    raise PlanError(f"{where}: nothing is set for {axis} = {value!r} (set.{axis} is wanted)")


@functools.lru_cache(maxsize=None)
def python_policies():
    """Returns the names of the policies in POLICIES, as their files give them: name -> file."""
    named = re.compile(r"^class \w+\(.*\bname=[\"']([^\"']+)[\"']", re.MULTILINE)
    return {name: file for file in sorted(POLICIES.glob("*.py")) for name in named.findall(file.read_text())}


def python_files(scenario, settings):
    """Returns the files of the Python policies that a run names."""
    arm = {**scenario.get("arm", {}), **{k.removeprefix("arm."): v for k, v in settings.items()}}
    return [python_policies()[v] for v in map(str, arm.values()) if v in python_policies()]


def expand(figure, scale, simulator, seed_offset=0, path=None):
    """Returns the runs of one figure."""
    path = path or SWEEPS / f"{figure}.toml"
    sweep = read(path)
    if set(sweep) - {"part", "title", "says", SENSITIVITY} or not sweep.get("part"):
        raise PlanError(f"{path}: a sweep has a title, parts ([[part]]) and perhaps says and sensitivity")
    if scale == SENSITIVITY and not any(SENSITIVITY in part for part in sweep["part"]):
        scale = "quick"
    runs = []
    for part in sweep["part"]:
        where = f"{path}: part {part.get('name', '?')}"
        unknown = set(part) - {"name", "scenario", "grid", "set", "append", "weight", SENSITIVITY, *SCALES}
        if unknown:
            raise PlanError(f"{where}: no key {', '.join(sorted(unknown))} is known here")
        if scale not in part:
            continue
        chosen = part.get(scale, {})
        unknown = set(chosen) - {"grid", "seeds", "set", "cost"}
        if unknown:
            raise PlanError(f"{where}: no key {', '.join(sorted(unknown))} is known in {scale}")
        scenario = (path.parent / part["scenario"]).resolve()
        grid = {**part.get("grid", {}), **chosen.get("grid", {})}
        common = chosen.get("set", {})
        for values in itertools.product(*grid.values()):
            labels = dict(zip(grid, values))
            settings = dict(common)
            for axis, value in labels.items():
                settings.update(settings_of(part, axis, value, where))
            settings.update(appended(part, labels, scenario))
            settings = resolve(settings, path.parent)
            files = files_of(read(scenario), scenario.parent)
            in_python = python_files(read(scenario), settings)
            files += map(str, in_python)
            for key in PATH_KEYS:
                value = settings.get(key, [])
                files += [value] if isinstance(value, str) else value
            weight = float(labels.get(part.get("weight"), 1) or 1) * chosen.get("cost", part.get("quick", {}).get("cost", 1.0))
            for seed in chosen.get("seeds", [1]):
                content = (digest(scenario), tuple(digest(f) for f in files), simulator)
                items = tuple(settings.items())
                runs.append(Run(figure, part["name"], tuple(labels.items()), scenario, items, seed + seed_offset, weight,
                                bool(in_python), content, key_of(content, items, seed + seed_offset)))
    return runs


def says(figure, scale):
    """Says in words for the caption how much of the workload a scale runs; empty where the sweep does not tell."""
    return read(SWEEPS / f"{figure}.toml").get("says", {}).get(scale, "")


def quick_constants(figure, path=None):
    """Returns the cost constants that the quick scale varies for this figure; None where the sweep does not tell."""
    return read(path or SWEEPS / f"{figure}.toml").get(SENSITIVITY, {}).get("quick")


def simulator_digest(program):
    return digest(str(program))
