"""Tests the workflow with a simulator of a few lines of Python: what is run, what is not, what is kept."""
import collections
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from experiments import plan, reproduce, runner, sensitivity, tables
from experiments.stand_in import calls, claims_of, reproduce_in, verdicts


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
    assert "mode=map temperature=warm vcpus=1): the run failed: as it was told to" in told
    monkeypatch.delenv("STAND_IN_FAILS")
    assert reproduce_in(bench) == 0
    assert len(calls(bench)) == 4 + 2


def test_runs_in_which_operations_failed_are_named_the_worst_first():
    run = collections.namedtuple("Run", "key labels")
    results = {"a": {"metrics": {}}, "b": {"metrics": {"failed_operations": 3, "first_failure": "x: y"}},
               "c": {"metrics": {"failed_operations": 9, "first_failure": "z: y"}}, "d": {"metrics": {"failed_operations": 0, "first_failure": ""}}}
    runs = {key: run(key, (("arm", "private"), ("cache_mib", size))) for key, size in zip(results, (2, 4, 8, 16))}
    assert reproduce.failures_of([runs["a"], runs["d"]], results) is None
    assert reproduce.failures_of(list(runs.values()), results) == {"of": 4, "runs": [
        {"labels": {"arm": "private", "cache_mib": 8}, "operations": 9, "first": "z: y"},
        {"labels": {"arm": "private", "cache_mib": 4}, "operations": 3, "first": "x: y"}]}


def test_a_full_disk_is_one_sentence(bench, monkeypatch, capsys):
    monkeypatch.setenv("STAND_IN_FULL", "1")
    with pytest.raises(reproduce.Failure, match="json: cannot be written: No space left on device; 0 of 4 runs are done and kept") as stop:
        reproduce_in(bench)
    assert stop.value.code == 2 and "did not run" not in capsys.readouterr().err


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
sys.argv = ["reproduce", "--simulator", {str(bench / 'xenfs-sim')!r}, "--out", {str(bench / 'out')!r}, "--jobs", "1", "--sensitivity", "none"]
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
        base = plan.expand(name, plan.SENSITIVITY, "simulator")
        assert base and {run.scenario.exists() for run in base} == {True}
        unknown = set(plan.quick_constants(name) or ()) - sensitivity.cost_model().keys()
        assert not unknown
    shared = {run.key for run in plan.expand("memory-vs-guests", scale, "s")}
    same = [run for run in plan.expand("build-time-vs-guests", scale, "s") if run.part == "guests"]
    assert all(run.key in shared for run in same), "the guests panel costs no run of its own"


def test_a_copy_of_the_tree_elsewhere_has_the_same_keys(tmp_path):
    def keys(root, content="recorded"):
        (root / "sweeps").mkdir(parents=True, exist_ok=True)
        (root / "build.toml").write_text('name = "build"\n[workload]\ncaptures = ["a.xfcap"]\n')
        for name in ("a", "b"):
            (root / f"{name}.xfcap").write_text(content + name)
        (root / "sweeps" / "x.toml").write_text("""
[[part]]
name = "builds"
scenario = "../build.toml"
grid = {config = ["one", "both"]}
quick = {seeds = [1]}
[part.set.config]
one = {"workload.captures" = ["../a.xfcap"]}
both = {"workload.captures" = ["../a.xfcap", "../b.xfcap"]}
""")
        plan.digest.cache_clear()
        return [run.key for run in plan.expand("x", "quick", "simulator", path=root / "sweeps" / "x.toml")]
    first = keys(tmp_path / "here")
    assert len(set(first)) == 2 and keys(tmp_path / "copied" / "elsewhere") == first
    assert not set(keys(tmp_path / "changed", "recorded anew")) & set(first)
    plan.digest.cache_clear()


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


def test_each_constant_that_a_run_looks_at_is_tried_at_both_ends(bench, monkeypatch):
    claims_of(monkeypatch, lambda table: len(table) == 8)
    assert reproduce_in(bench, "--sensitivity", "all") == 0
    found = verdicts(bench)
    assert set(found) == {("", "here", ""), ("seed", "seed", 1000.0), ("xen.flip", "low", 0.8), ("xen.flip", "high", 4.0),
                          ("xen.hypercall", "low", 0.1), ("xen.hypercall", "high", 0.7)}
    assert set(found.values()) == {True}
    # There are four runs with the values in use, and four for each of the five other values.
    assert len(calls(bench)) == 4 * 6
    assert sum("costs.xen.flip=\"0.8 us\"" in call for call in calls(bench)) == 4
    manifest = json.loads((bench / "out/manifest.json").read_text())
    assert manifest["seeds"]["flip-copy-map"] == {"modes": {"seeds": [1], "random": False}}
    reproduce_in(bench, "--sensitivity", "all")
    assert len(calls(bench)) == 4 * 6, "nothing changed: nothing runs"


def test_where_a_claim_turns_is_found_by_halving(bench, monkeypatch):
    # The claim sees the constant's value through the last call of the stand-in.
    def flip_below_3(table):
        value = current.get("xen.flip", 1.5)
        return value < 3
    current = {}
    check = sensitivity.check

    def spy(figure, options, name, value, results, failed):
        current.clear()
        current[name] = value
        return check(figure, options, name, value, results, failed)
    monkeypatch.setattr(sensitivity, "check", spy)
    claims_of(monkeypatch, flip_below_3)
    reproduce_in(bench, "--sensitivity", "all")
    from analysis import sensitivity as of_claims
    said = of_claims.of_claim(of_claims.load(bench / "out/data"), "flip-copy-map", "it is so", True)
    assert said["survives"] is False and said["tried"] == said["read"] == 2
    turn, = said["turned_by"]
    low, high = turn["turns_between"]
    assert turn["constant"] == "xen.flip" and low < 3 <= high and high - low < (4 - 1.5) / 2 ** 4 + 0.02
    assert (f"xen.flip turns it somewhere between {of_claims.number(low)} and {of_claims.number(high)} µs (used: 1.5; "
            "range 0.8 to 4)") in said["text"]
    assert "holds at both ends of the range of the other one of the 2 cost constants that its runs use" in said["text"]


def test_a_value_that_cannot_be_run_is_said_and_stops_nothing(bench, monkeypatch):
    claims_of(monkeypatch, lambda table: True)
    monkeypatch.setenv("STAND_IN_FAILS", "costs.xen.flip=\"4 us\"")
    assert reproduce_in(bench, "--sensitivity", "all") == 0
    assert verdicts(bench)["xen.flip", "high", 4.0] == ""
    from analysis import sensitivity as of_claims
    said = of_claims.of_claim(of_claims.load(bench / "out/data"), "flip-copy-map", "it is so", True)
    assert said["survives"] is False and said["not_run"] == ["xen.flip"]


def test_few_tries_the_constants_that_the_sweep_names(bench, monkeypatch):
    claims_of(monkeypatch, lambda table: True)
    path = bench / "sweeps" / "flip-copy-map.toml"
    path.write_text('sensitivity.quick = ["xen.hypercall"]\n' + path.read_text())
    reproduce_in(bench, "--sensitivity", "few")
    assert {constant for constant, _, _ in verdicts(bench)} == {"", "seed", "xen.hypercall"}
    path.write_text(path.read_text().replace("xen.hypercall", "xen.hyperkall"))
    with pytest.raises(plan.PlanError, match="sensitivity.quick: the cost model has no xen.hyperkall"):
        reproduce_in(bench, "--sensitivity", "few")


def test_a_second_reproduce_keeps_out_of_a_directory_in_use(bench):
    (bench / "out").mkdir()
    held = runner.lock(bench / "out")
    with pytest.raises(reproduce.Failure, match="another reproduce is at work there"):
        reproduce_in(bench)
    held.close()
    assert reproduce_in(bench) == 0
