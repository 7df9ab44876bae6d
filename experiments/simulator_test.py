"""xenfs-sim as a user meets it: answers, files, error sentences and exit codes."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = sorted(ROOT.glob("build/*/bin/xenfs-sim"))
SIMULATOR = pathlib.Path(os.environ.get("XENFS_SIM", BUILT[0] if BUILT else "xenfs-sim"))
pytestmark = pytest.mark.skipif(not SIMULATOR.exists(), reason="xenfs-sim is not built")

PAGES = """name = "small"
[arm]
name = "private"
[workload]
kind = "pages"
access = "read"
batches = [1, 8]
file = "1 MiB"
"""


def sim(*words, cwd=None):
    return subprocess.run([str(SIMULATOR), *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(PAGES)
    return path


def test_a_run_writes_all_its_files(scenario, tmp_path):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "timeline", "manifest")}
    words = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    done = sim("run", scenario, "--seed", 3, *words)
    assert done.returncode == 0, done.stderr
    result = json.loads(files["json"].read_text())
    assert result["origin"]["seed"] == 3 and result["tables"]["pages"]["batch_pages"] == [1, 8]
    header, row = files["csv"].read_text().splitlines()
    assert header.startswith("scenario,seed,") and row.startswith("small,3,")
    assert json.loads(files["timeline"].read_text())["traceEvents"]
    assert json.loads(files["manifest"].read_text())["run"]["wall_s"] > 0
    assert "completion_s" in done.stdout


def test_same_seed_same_bytes(scenario):
    outputs = {sim("run", scenario, "--json", "-").stdout for _ in range(3)}
    assert len(outputs) == 1 and json.loads(outputs.pop())


@pytest.mark.parametrize("old, new, sentence", [
    ('name = "private"', 'name = "prviate"',
     'small.toml:3: arm.name: there is no "prviate"; there are: '),
    ('file = "1 MiB"', 'file = "1 s"', "small.toml:8: workload.file: 's' is not a unit of size"),
    ("batches", "bathces", "small.toml:7: workload.bathces: there is no such key; there are: "),
    ('kind = "pages"\n', "", "small.toml: the key workload.kind is missing"),
    ('name = "small"', 'name = "small', "small.toml:1: "),
])
def test_a_bad_scenario_is_one_sentence_and_exit_code_2(scenario, old, new, sentence):
    scenario.write_text(PAGES.replace(old, new))
    done = sim("run", scenario.name, cwd=scenario.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("xenfs-sim: " + sentence) and done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("words, sentence", [
    (["run", "small.toml", "--set", "arm.name=nothing"], "--set arm.name=nothing: there is no"),
    (["run", "small.toml", "--seed", "x"], "--set seed=x: text where a whole number is wanted"),
    (["run", "missing.toml"], "missing.toml: cannot be read: No such file or directory"),
    (["run"], "one scenario file is wanted"),
    (["rum"], ""),
    (["compare", "missing.xfcap"], "missing.xfcap"),
    (["replay", "missing", "--format", "msr", "--cache-pages", "1", "--eviction", "lru"], ""),
])
def test_bad_words_are_refused(scenario, words, sentence):
    done = sim(*words, cwd=scenario.parent)
    assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1


def test_a_full_disk_leaves_earlier_results_alone(scenario, tmp_path):
    done = sim("run", scenario, "--json", "/dev/full")
    assert done.returncode == 2
    assert done.stderr == "xenfs-sim: /dev/full: cannot be written: No space left on device\n"
    kept = tmp_path / "kept.json"
    kept.write_text("earlier")
    limited = subprocess.run(["sh", "-c", f"ulimit -f 1; exec {SIMULATOR} run {scenario} --json {kept}"],
                             capture_output=True, text=True, check=False)
    assert limited.returncode == 2 and "kept.json: cannot be written" in limited.stderr
    assert kept.read_text() == "earlier"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_capture_cut_short_is_named(scenario, tmp_path):
    captures = sorted(ROOT.glob("**/*.xfcap"))
    if not captures:
        pytest.skip("no capture is shipped")
    cut = tmp_path / "cut.xfcap"
    cut.write_bytes(captures[0].read_bytes()[:5000])
    done = sim("compare", cut, "--guests", 1)
    assert done.returncode == 2 and "cut.xfcap" in done.stderr and done.stderr.count("\n") == 1


def test_iozone_prints_iozones_table():
    done = sim("iozone", "-a", "-g", "128k", "-i", "0", "-i", "1", "--arm", "private")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip() and set(line) <= set("0123456789 ")]
    assert [row[:2] for row in rows][:3] == [["64", "4"], ["64", "8"], ["64", "16"]]
    assert all(len(row) == 6 for row in rows)


def test_list_names_what_exists_and_costs_with_ranges():
    done = sim("list", "--json")
    lists = json.loads(done.stdout)
    assert "private" in lists["arms"] and "lru" in lists["eviction"]
    assert all(c["low"] <= c["value"] <= c["high"] for c in lists["costs"].values())


def test_the_readme_has_the_schema():
    table = sim("schema").stdout
    assert table and table in (ROOT / "experiments" / "README.md").read_text(), \
        "experiments/README.md is stale: put the output of 'xenfs-sim schema' into it"
