"""xenfs-sim is tested as a user meets it: answers, files, error sentences and exit codes."""
import json
import os
import pathlib
import subprocess
import sys

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


def test_a_wrong_command_is_named_with_the_right_ones():
    for words, told in ((("lst",), "there is no command 'lst'"), ((), "a command is wanted")):
        done = sim(*words)
        assert done.returncode == 2
        assert done.stderr == f"xenfs-sim: {told}; there are: run, iozone, replay, compare, batch, list, schema\n"
    usage = sim("run", "--help").stdout
    assert "KEY=VALUE ..." in usage and "…" not in usage


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


def test_a_batch_makes_each_run_as_run_does(scenario, tmp_path):
    entries = [{"scenario": str(scenario), "set": [f"seed={seed}"], "json": str(tmp_path / f"{seed}.json"),
                "manifest": str(tmp_path / f"{seed}.manifest"), "log": str(tmp_path / f"{seed}.log")} for seed in (1, 2)]
    bad = {**entries[0], "set": ["arm.name=nothing"], "json": str(tmp_path / "bad.json"), "log": str(tmp_path / "bad.log")}
    (tmp_path / "list.json").write_text(json.dumps([entries[0], bad, entries[1]]))
    done = sim("batch", tmp_path / "list.json")
    assert done.returncode == 2 and not (tmp_path / "bad.json").exists(), "the bad one is told, the others are made"
    assert "there is no" in (tmp_path / "bad.log").read_text() and not (tmp_path / "2.log").exists()
    for seed in (1, 2):
        assert (tmp_path / f"{seed}.json").read_text() == sim("run", scenario, "--seed", seed, "--json", "-").stdout
    constants = json.loads((tmp_path / "1.manifest").read_text())["constants"]
    assert constants["disk.ssd.latency"] == {"value": 90e3, "low": 50e3, "high": 150e3}
    assert "nfs.client_request" not in constants, "only what the run looked at"
    for text in ("{", "[1]", '[{"scenario": "x"}]'):
        (tmp_path / "list.json").write_text(text)
        done = sim("batch", tmp_path / "list.json")
        assert done.returncode == 2 and "list.json: not a list of runs" in done.stderr


def test_the_page_which_policy_names_arms_that_exist():
    page = (ROOT / "experiments" / "which-policy.md").read_text()
    for arm in ("private", "nfs", "9p-loose", "virtiofs-dax", "cluster", "xenfs-name", "xenfs-content", "xenfs-copy", "xenfs-map", "xenfs-flip"):
        assert f"`{arm}`" in page
        assert "there is no such arm" not in sim("compare", ROOT / "workloads/captures/tiny-a.xfcap", "--arms", arm, "--guests", 0).stderr


def test_its_three_commands_lead_to_a_table_and_a_figure(tmp_path):
    # These are the first two lines and the last of the page, with a command that takes no time.
    page = (ROOT / "experiments" / "which-policy.md").read_text()
    for line in ("./lab capture my.xfcap -- make", "./lab sim compare my.xfcap --guests 8 --json my.json", "./lab figure my.json my.png"):
        assert line in page
    capture = SIMULATOR.with_name("xenfs-capture")
    if not capture.exists():
        pytest.skip("xenfs-capture is not built")
    assert subprocess.run([capture, "my.xfcap", "--", "cat", "/etc/passwd"], cwd=tmp_path, stdout=subprocess.DEVNULL, check=False).returncode == 0
    done = sim("compare", "my.xfcap", "--guests", 2, "--json", "my.json", "--csv", "my.csv", "--set", "arm.cache=1 GiB", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    arms = [row["arm"] for row in json.loads((tmp_path / "my.json").read_text())]
    assert arms[0] == "private" and arms[-1] == "xenfs-content" and "oracle" in done.stdout
    assert (tmp_path / "my.csv").read_text().splitlines()[0].startswith("arm,host_memory_mib,time_s")
    drawn = subprocess.run([sys.executable, ROOT / "analysis/compare.py", "my.json", "my.png"], cwd=tmp_path, capture_output=True, check=False)
    assert drawn.returncode == 0 and (tmp_path / "my.png").stat().st_size > 5000


def test_a_workload_cut_short_says_so_and_ends(tmp_path):
    # Page caches and own frames are too small for the program text that a compile maps, so its mmap and what follows
    # fail.
    done = sim("compare", ROOT / "workloads/captures/tiny-a.xfcap", "--guests", 2, "--arms", "private,xenfs-copy,xenfs-map", "--json", tmp_path / "c.json",
               "--set", "guests.memory=100 MiB", "arm.own_frames=4 MiB", "arm.mapping_budget=192 MiB", "workload.fraction=0.02")
    assert done.returncode == 0, done.stderr
    rows = {row["arm"]: row for row in json.loads((tmp_path / "c.json").read_text())}
    assert rows["xenfs-map"]["failed_operations"] == 0 and "xenfs-map: " not in done.stderr
    for arm in ("private", "xenfs-copy"):
        assert rows[arm]["failed_operations"] > 0 and "Cannot allocate memory" in rows[arm]["first_failure"]
        assert f"{arm}: {rows[arm]['failed_operations']} operations failed that had succeeded when they were recorded (the first: mmap of " in done.stderr
    assert rows["xenfs-copy"]["completion_s"] < 3 * rows["xenfs-map"]["completion_s"], "what fails does so at once"


def test_a_key_that_no_compared_arm_has_is_refused(tmp_path):
    done = sim("compare", ROOT / "workloads/captures/tiny-a.xfcap", "--arms", "private", "--set", "arm.cache=1 GiB")
    assert done.returncode == 2 and 'it means nothing where arm.name is "private"' in done.stderr


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
