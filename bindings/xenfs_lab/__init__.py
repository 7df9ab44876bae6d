"""XenFS Lab from Python: run scenarios on the simulated host and get numpy arrays.

    import xenfs_lab
    result = xenfs_lab.run("experiments/scenarios/kernel-build.toml", {"guests.count": 4})
    result.metrics["pages_peak"]            # pages of 4 KiB
    result.series["time_ns"]                # int64 array, one entry a sample

Each run is a forked process of its own, and the interpreter is free while it waits: to run many at
once, call run() from threads (concurrent.futures.ThreadPoolExecutor). Names of metrics and columns
carry their units: _ns, _s, _bytes, _mib; "pages" are of 4 KiB.
"""
import dataclasses
import json
import os
import pathlib

from . import _core
from ._core import InputError, RunError, parse_size, parse_time, schema_markdown

__all__ = ["Cost", "InputError", "Result", "RunError", "canonical", "capture_info", "costs", "names",
           "parse_size", "parse_time", "replay", "replay_trace", "run", "schema_markdown"]


@dataclasses.dataclass(frozen=True)
class Result:
    """What one run left behind. Equal scenario and seed give equal results (`times` excepted).

    origin    where it comes from: commit, scenario and cost model hashes, seed, versions
    settings  the scenario, key by key, as text with units
    metrics   scalars of the whole run, by name
    guests    scalars of each guest, in order
    tables    by name, then by column: arrays of shape (rows,)
    json      the result file's text, as `xenfs-sim run --json` writes it
    timeline  Chrome trace-event text, "" unless asked for
    times     wall_s, cpu_s, peak_memory_kib of the simulation itself
    """

    origin: dict
    settings: dict
    metrics: dict
    guests: list
    tables: dict
    json: str
    timeline: str
    times: dict

    @property
    def series(self):
        """Returns the samples over time: column -> array of shape (samples,); empty if none were taken."""
        return self.tables.get("series", {})


@dataclasses.dataclass(frozen=True)
class Cost:
    """One constant of the cost model, in its base unit (ns, B, B/s, /s, W, J, ns/B, ratio, count)."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    known: str
    source: str


def run(scenario, overrides=None, seed=None, timeline=False):
    """Runs one scenario and returns its Result.

    scenario   a file (path), TOML text (a str with a newline), or a dict of tables as in the file
    overrides  {"arm.name": "nfs", "guests.memory": "1 GiB"} or ["arm.name=nfs"], as --set takes them
    seed       instead of the scenario's
    timeline   also record Result.timeline

    Raises InputError (one sentence with file, line and key) and RunError (the run itself failed).
    """
    text, name, directory = _source(scenario)
    return Result(**_core.run(text, name, directory, _overrides(overrides, seed), timeline))


def canonical(scenario, overrides=None, seed=None):
    """Returns all keys and values of a scenario as text: equal for equal experiments."""
    text, name, directory = _source(scenario)
    return _core.canonical(text, name, directory, _overrides(overrides, seed))


def names():
    """What exists: {"arms": [...], "transfer": [...], "dedup": …, "eviction": …, "disks": …, …}."""
    return _core.names()


def costs():
    """Returns the default cost model: name -> Cost."""
    return {name: Cost(name, **entry) for name, entry in _core.costs().items()}


def capture_info(file):
    """Counts what a capture file has: processes, operations, files, pages (of 4 KiB), CPU time in ns."""
    return json.loads(_core.capture_info(os.fspath(file)))


def replay(pages, cache_pages, eviction="lru"):
    """A page cache over a sequence of pages: for each request, whether it hit.

    pages        integers, shape (requests,); the upper 32 bits number the file
    cache_pages  capacity, pages
    Returns an array of bool, shape (requests,); the miss ratio is 1 - hits.mean().
    """
    return _core.replay(pages, cache_pages, eviction)


def replay_trace(file, format, cache_pages, eviction="lru"):
    """Does the same over a trace file: {"requests", "misses", "miss_ratio", "ns_per_request"}."""
    return _core.replay_trace(os.fspath(file), format, cache_pages, eviction)


def _source(scenario):
    """Returns (text, name for messages, directory that paths are relative to)."""
    if isinstance(scenario, dict):
        return _toml(scenario), "<dict>", os.getcwd()
    if isinstance(scenario, str) and "\n" in scenario:
        return scenario, "<text>", os.getcwd()
    path = pathlib.Path(scenario)
    try:
        return path.read_text(), str(path), str(path.resolve().parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _overrides(overrides, seed):
    if isinstance(overrides, dict):
        words = [f"{key}={_value(value)}" for key, value in overrides.items()]
    else:
        words = list(overrides or [])
    return words + ([f"seed={seed}"] if seed is not None else [])


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, (str, os.PathLike)):
        return json.dumps(os.fspath(value), ensure_ascii=False)
    return repr(value)


def _toml(table, prefix=""):
    """Returns a dict of dicts as TOML text; plain values come before tables."""
    lines = [f"{json.dumps(str(k))} = {_value(v)}" for k, v in table.items() if not isinstance(v, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{prefix}{json.dumps(str(key))}"
            lines += [f"[{name}]", _toml(value, f"{name}.")]
    return "\n".join(lines)
