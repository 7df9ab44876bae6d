"""Tests policies written in Python: the shipped examples, and what can go wrong."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import numpy
import pytest

import xenfs_lab
from xenfs_lab import policies

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "experiments/policies"
SCENARIO = ROOT / "experiments/scenarios/pages.toml"
SMALL = {"workload.file": "1 MiB", "workload.passes": 2, "arm.name": "xenfs"}

policies.load([EXAMPLES])


def seeded(name):
    seed = int(os.environ.get("XENFS_SEED", numpy.random.SeedSequence().entropy % 2**32))
    print(f"{name}: XENFS_SEED={seed}")
    return numpy.random.default_rng(seed)


def command(*words, **environment):
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-m", "xenfs_lab", *words], env=variables, capture_output=True, text=True,
                          timeout=120, check=False)


def test_second_chance_is_clock():
    pages = seeded("second chance").zipf(1.2, 20_000) % 5000
    for capacity in (1, 7, 300):
        mine = xenfs_lab.replay(pages, capacity, "second-chance")
        assert (mine == xenfs_lab.replay(pages, capacity, "clock")).all()
        assert 0 < mine.mean() < 1


def test_names_appear_where_policies_are_listed():
    assert "second-chance" in xenfs_lab.names()["eviction"]
    assert "map-if-reused" in xenfs_lab.names()["transfer"]
    listed = command("list", XENFS_POLICIES=str(EXAMPLES))
    assert listed.returncode == 0 and "second-chance" in listed.stdout and "map-if-reused" in listed.stdout
    told = command("replay", "--help", XENFS_POLICIES=str(EXAMPLES)).stdout
    assert "second-chance" in told
    assert "second-chance" not in command("list").stdout, "without its directory there is no such policy"


def test_a_run_takes_its_decisions_from_python():
    def metrics(policy):
        return xenfs_lab.run(SCENARIO, {**SMALL, "arm.transfer": policy, "workload.access": "read"}).guests[0]
    mine, mapped, copied = (metrics(p) for p in ("map-if-reused", "map", "copy"))
    assert copied["pages_mapped"] == 0 and copied["pages_copied_out"] > 0
    assert mine["pages_copied_out"] + mine["pages_mapped"] > 0
    assert mapped["pages_copied_out"] == 0
    assert metrics("map-if-reused") == mine, "the same scenario gives the same result"


def test_runs_in_threads_do_not_lock_each_other():
    overrides = {**SMALL, "arm.eviction": "second-chance", "workload.access": "read"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(xenfs_lab.run, SCENARIO, overrides) for _ in range(6)]
        busy = sum(range(3_000_000))  # the interpreter is in use while children are forked
        results = [run.result(timeout=120).json for run in runs]
    assert busy > 0 and len(set(results)) == 1


def test_what_a_policy_raises_ends_the_run_with_its_text():
    class Broken(policies.EvictionPolicy, name="broken"):
        def insert(self, slot, key): raise ValueError("no page pleases me")
        def touch(self, slots): pass
        def take_victim(self): return 77
        def restore(self, slot): pass
        def remove(self, slot): pass

    class Wild(Broken, name="wild"):
        def insert(self, slot, key): pass

    class Unsure(policies.TransferPolicy, name="unsure"):
        def decide(self, use, pages, expected_uses, copy_is_kept): return "perhaps"

    with pytest.raises(xenfs_lab.RunError, match="no page pleases me"):
        xenfs_lab.run(SCENARIO, {**SMALL, "arm.eviction": "broken"})
    with pytest.raises(RuntimeError, match="'wild'.*77, a slot that it does not hold"):
        xenfs_lab.replay(numpy.arange(10), 2, "wild")
    with pytest.raises(xenfs_lab.RunError, match="decide.. answered 'perhaps'; it may answer copy, map or flip"):
        xenfs_lab.run(SCENARIO, {**SMALL, "arm.transfer": "unsure", "workload.access": "read"})


def test_a_class_that_is_no_policy_is_refused():
    with pytest.raises(TypeError, match="Half: lacks insert, remove, restore, take_victim"):
        class Half(policies.EvictionPolicy, name="half"):
            def touch(self, slots): pass
    with pytest.raises(ValueError, match="the transfer policy 'copy' is registered twice"):
        class Copy(policies.TransferPolicy, name="copy"):
            def decide(self, use, pages, expected_uses, copy_is_kept): return "copy"


def test_a_broken_file_is_told_with_its_line(tmp_path):
    (tmp_path / "bad.py").write_text("import xenfs_lab\n\nundefined_name\n")
    told = command("list", XENFS_POLICIES=str(tmp_path))
    assert told.returncode == 2
    assert told.stderr == f"xenfs-sim: {tmp_path}/bad.py:3: NameError: name 'undefined_name' is not defined\n"
