"""The workflow with a simulator that is a few lines of Python: what is run, what is not, what is kept."""
import json
import os
import pathlib
import stat
import subprocess
import sys
import time

import pytest

from experiments import plan, reproduce, tables

STAND_IN = f"""#!{sys.executable}
# Stands in for xenfs-sim: notes each call, then writes a result that depends on its arguments alone.
import hashlib, json, os, pathlib, sys, time
words = sys.argv[1:]
out = pathlib.Path(words[words.index("--json") + 1])
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as log:
    log.write(" ".join(words[:-4]) + "\\n")
time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
if os.environ.get("STAND_IN_FAILS") and os.environ["STAND_IN_FAILS"] in " ".join(words):
    print("xenfs-sim: the run failed: as it was told to", file=sys.stderr)
    sys.exit(1)
seed = words[words.index("--seed") + 1]
number = int(hashlib.sha256(" ".join(words[:-4]).encode()).hexdigest()[:6], 16)
result = {{
    "origin": {{"commit": "abc", "dirty": False, "simulator_version": "0", "simgrid_version": "3", "compiler": "c",
               "cost_model": "default", "cost_model_hash": "00", "scenario_hash": seed}},
    "settings": {{}}, "guests": [],
    "metrics": {{"number": number}},
    "tables": {{"pages": {{"batch_pages": [1, 2], "ns_per_page": [number, number + 1]}}}},
}}
temporary = out.with_suffix(".tmp")
temporary.write_text(json.dumps(result))
os.replace(temporary, out)
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A directory with the stand-in and one small sweep; report() only notes that it was called."""
    program = tmp_path / "xenfs-sim"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    sweeps = tmp_path / "sweeps"
    sweeps.mkdir()
    (tmp_path / "pages.toml").write_text('name = "pages"\n')
    (sweeps / "flip-copy-map.toml").write_text("""
[[part]]
name = "modes"
scenario = "../pages.toml"
grid = {mode = ["copy", "map"], temperature = ["warm"], vcpus = [1, 2]}
quick = {seeds = [1]}
full = {seeds = [1, 2], grid = {vcpus = [1, 2, 4]}}
[part.set]
mode = "arm.transfer"
vcpus = "guests.vcpus"
temperature.warm = {"workload.warm" = true}
""")
    monkeypatch.setattr(plan, "SWEEPS", sweeps)
    monkeypatch.setattr(reproduce, "report", lambda options, names: None)
    plan.digest.cache_clear()
    return tmp_path


def reproduce_in(bench, *words):
    plan.digest.cache_clear()
    return reproduce.run(["--simulator", str(bench / "xenfs-sim"), "--out", str(bench / "out"), "--jobs", "2", *words])


def calls(bench):
    log = bench / "calls"
    return log.read_text().splitlines() if log.exists() else []


def test_runs_every_point_once_and_writes_tidy_tables(bench):
    assert reproduce_in(bench) == 0
    assert len(calls(bench)) == 4
    lines = (bench / "out/data/flip-copy-map.csv").read_text().splitlines()
    assert lines[0] == "mode,temperature,batch_pages,vcpus,seed,ns_per_page"
    assert len(lines) == 1 + 4 * 2
    manifest = json.loads((bench / "out/manifest.json").read_text())
    assert manifest["commit"] == "abc" and len(manifest["figures"]["flip-copy-map"]) == 4


def test_a_rerun_does_only_what_changed(bench):
    reproduce_in(bench)
    before = (bench / "out/data/flip-copy-map.csv").read_bytes()
    reproduce_in(bench)
    assert len(calls(bench)) == 4, "nothing changed: nothing runs"
    assert (bench / "out/data/flip-copy-map.csv").read_bytes() == before
    lost = sorted((bench / "out/runs").glob("*.json"))[0]
    lost.unlink()
    reproduce_in(bench)
    assert len(calls(bench)) == 5, "one result was lost: one runs"
    reproduce_in(bench, "--seed", "7")
    assert len(calls(bench)) == 9, "another seed: all"
    with open(bench / "pages.toml", "a", encoding="utf-8") as scenario:
        scenario.write("# changed\n")
    reproduce_in(bench)
    assert len(calls(bench)) == 13, "another scenario: all"
    with open(bench / "xenfs-sim", "a", encoding="utf-8") as program:
        program.write("# changed\n")
    reproduce_in(bench)
    assert len(calls(bench)) == 17, "another simulator: all"


def test_a_failed_run_is_told_and_the_others_are_kept(bench, monkeypatch, capsys):
    monkeypatch.setenv("STAND_IN_FAILS", "arm.transfer=\"map\"")
    with pytest.raises(reproduce.Failure, match="2 of 4 runs failed"):
        reproduce_in(bench)
    told = capsys.readouterr().err
    assert "mode=map temperature=warm vcpus=1): xenfs-sim: the run failed: as it was told to" in told
    monkeypatch.delenv("STAND_IN_FAILS")
    assert reproduce_in(bench) == 0
    assert len(calls(bench)) == 4 + 2


def test_an_interrupted_reproduce_goes_on_from_there(bench):
    # A background job of a shell without job control starts with SIGINT ignored, and so do its tests.
    code = f"""
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(plan.HERE.parent)!r})
from experiments import plan, reproduce
import pathlib
plan.SWEEPS = pathlib.Path({str(bench / 'sweeps')!r})
reproduce.report = lambda options, names: None
sys.argv = ["reproduce", "--simulator", {str(bench / 'xenfs-sim')!r}, "--out", {str(bench / 'out')!r}, "--jobs", "1"]
sys.exit(reproduce.main())
"""
    environment = {**os.environ, "STAND_IN_SECONDS": "1"}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list((bench / "out").glob("runs/*.json"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(2)
    told = child.communicate(timeout=60)[1]
    assert child.returncode == 130 and "interrupted" in told
    kept = len(list((bench / "out").glob("runs/*.json")))
    assert 1 <= kept < 4
    made = len(calls(bench))
    reproduce_in(bench)
    assert len(calls(bench)) == made + 4 - kept


def test_dry_run_runs_nothing(bench, capsys):
    assert reproduce_in(bench, "--dry-run", "--scale", "full") == 0
    assert calls(bench) == [] and not (bench / "out").exists()
    assert "flip-copy-map: 12 runs" in capsys.readouterr().out


@pytest.mark.parametrize("words, sentence", [
    (["--only", "nothing"], "invalid choice: 'nothing'"), (["--jobs", "0"], "at least 1"),
    (["--scale", "huge"], "invalid choice: 'huge'")])
def test_bad_arguments_are_refused(bench, capsys, words, sentence):
    with pytest.raises(SystemExit) as stop:
        reproduce_in(bench, *words)
    assert stop.value.code == 2 and sentence in capsys.readouterr().err


def test_a_bad_sweep_is_named(bench):
    path = bench / "sweeps" / "flip-copy-map.toml"
    path.write_text(path.read_text().replace('mode = "arm.transfer"', ""))
    with pytest.raises(plan.PlanError, match=r"flip-copy-map.toml: part modes: nothing is set for mode = 'copy'"):
        reproduce_in(bench)


@pytest.mark.parametrize("scale", plan.SCALES)
def test_the_real_sweeps_expand_and_have_tables(scale):
    for name in plan.names():
        runs = plan.expand(name, scale, "simulator")
        assert runs and name in tables.ROWS
        assert all(pathlib.Path(run.scenario).exists() for run in runs)
    shared = {run.key for run in plan.expand("memory-vs-guests", scale, "s")}
    same = [run for run in plan.expand("build-time-vs-guests", scale, "s") if run.part == "guests"]
    assert all(run.key in shared for run in same), "the guests panel costs no run of its own"


def test_a_policy_in_python_is_run_by_the_module_and_is_part_of_the_result(bench, monkeypatch):
    policies = bench / "policies"
    policies.mkdir()
    mine = policies / "mine.py"
    mine.write_text('class Mine(TransferPolicy, name="map"):\n    pass\n')
    monkeypatch.setattr(plan, "POLICIES", policies)

    def runs():
        plan.python_policies.cache_clear()
        plan.digest.cache_clear()
        return plan.expand("flip-copy-map", "quick", "simulator")
    first = runs()
    assert {r.python for r in first if dict(r.labels)["mode"] == "map"} == {True}
    assert {r.python for r in first if dict(r.labels)["mode"] == "copy"} == {False}
    mine.write_text(mine.read_text() + "# changed\n")
    changed = [a.labels for a, b in zip(first, runs()) if a.key != b.key]
    assert changed and all(dict(labels)["mode"] == "map" for labels in changed)
    plan.python_policies.cache_clear()
