"""Tests the Python module: results equal those of the program, errors are sentences, runs are independent."""
import concurrent.futures
import json
import pathlib
import subprocess
import sys

import numpy
import pytest

xenfs_lab = pytest.importorskip("xenfs_lab", reason="the module is not built")

PAGES = {
    "name": "pages",
    "host": {"disk": "nvme"},
    "guests": {"memory": "256 MiB"},
    "arm": {"name": "private"},
    "workload": {"kind": "pages", "access": "read", "batches": [1, 16], "file": "1 MiB"},
}


def test_a_run_gives_scalars_and_arrays():
    result = xenfs_lab.run(PAGES)
    table = result.tables["pages"]
    assert table["batch_pages"].dtype == numpy.int64 and table["batch_pages"].tolist() == [1, 16]
    assert table["ns_per_page"].dtype == numpy.float64 and (table["ns_per_page"] > 0).all()
    assert result.metrics["completion_ns"] > 0 and isinstance(result.metrics["pages_peak"], int)
    assert result.settings["arm.name"] == '"private"' and result.guests[0]["guest"] == 1
    assert result.timeline == "" and result.times["wall_s"] > 0


def test_equal_scenario_and_seed_give_equal_bytes_in_any_process():
    here = xenfs_lab.run(PAGES, seed=5).json
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        there = [future.result().json for future in [pool.submit(xenfs_lab.run, PAGES, None, 5) for _ in range(4)]]
    code = f"import xenfs_lab, sys; sys.stdout.write(xenfs_lab.run({PAGES!r}, seed=5).json)"
    path = str(pathlib.Path(xenfs_lab.__file__).parent.parent)
    other = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=True,
                           capture_output=True, text=True).stdout
    assert all(text == here for text in [*there, other])
    assert xenfs_lab.run(PAGES, seed=6).json != here, "the seed is part of the result"


def test_overrides_as_mapping_and_as_words():
    words = xenfs_lab.canonical(PAGES, ["guests.count=2", "guests.memory=1 GiB"])
    assert words == xenfs_lab.canonical(PAGES, {"guests.count": 2, "guests.memory": "1 GiB"})
    assert "guests.count = 2" in words


def test_a_timeline_is_chromes_format():
    events = json.loads(xenfs_lab.run(PAGES, timeline=True).timeline)["traceEvents"]
    assert {event["ph"] for event in events} >= {"M", "X"}


def test_mistakes_are_sentences():
    with pytest.raises(xenfs_lab.InputError, match=r'--set arm.transfer="mpa": .* adaptive, copy, flip, map'):
        xenfs_lab.run(PAGES, {"arm.name": "xenfs", "arm.transfer": "mpa"})
    with pytest.raises(xenfs_lab.InputError, match=r"nothing.toml: cannot be read: No such file"):
        xenfs_lab.run("nothing.toml")
    with pytest.raises(xenfs_lab.InputError, match=r"<dict>:\d+: guests.memory: 's' is not a unit of size"):
        xenfs_lab.run({**PAGES, "guests": {"memory": "5 s"}})
    with pytest.raises(xenfs_lab.InputError):
        xenfs_lab.capture_info(__file__)


def test_names_costs_and_units():
    names = xenfs_lab.names()
    assert {"copy", "map", "flip", "adaptive"} <= set(names["transfer"]) and "private" in names["arms"]
    cost = xenfs_lab.costs()["xen.hypercall"]
    assert cost.low <= cost.value <= cost.high and cost.unit == "ns" and cost.source
    assert xenfs_lab.parse_time("1.5 us") == 1500 and xenfs_lab.parse_size("2 MiB") == 2 << 20


def test_replay_counts_hits():
    hits = xenfs_lab.replay(numpy.array([1, 2, 1, 3, 2, 1]), 2, "lru")
    assert hits.dtype == bool and hits.tolist() == [False, False, True, False, False, False]
    with pytest.raises(xenfs_lab.InputError, match="lru"):
        xenfs_lab.replay([1], 1, "nothing")


def test_the_stubs_say_what_the_module_is():
    stubtest = pytest.importorskip("mypy.stubtest")
    del stubtest
    path = str(pathlib.Path(xenfs_lab.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-m", "mypy.stubtest", "xenfs_lab", "--ignore-missing-stub"],
                          env={"PYTHONPATH": path, "MYPYPATH": path, "PATH": "/usr/bin:/bin"}, check=False,
                          capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
