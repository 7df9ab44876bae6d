"""A simulator of a few lines of Python, for tests of the workflow, and what these tests share."""
import sys

import pandas

from experiments import plan, reproduce

STAND_IN = f"""#!{sys.executable}
# Stands in for xenfs-sim batch: notes each run, then writes a result that depends on its settings alone. The runs look at
# two constants; xen.flip changes the result, xen.hypercall does not.
import hashlib, json, os, pathlib, sys, time
word, list_file = sys.argv[1:]
assert word == "batch"
here = pathlib.Path(__file__).parent
status = 0
for entry in json.loads(pathlib.Path(list_file).read_text()):
    words = " ".join([entry["scenario"], *entry["set"]])
    with open(here / "calls", "a") as log:
        log.write(words + "\\n")
    time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
    if os.environ.get("STAND_IN_FAILS") and os.environ["STAND_IN_FAILS"] in words:
        pathlib.Path(entry["log"]).write_text("the run failed: as it was told to\\n")
        status = 1
        continue
    if os.environ.get("STAND_IN_FULL"):
        print(f"xenfs-sim: {{entry['json']}}: cannot be written: No space left on device", file=sys.stderr)
        sys.exit(2)
    decides = [s for s in entry["set"] if not s.startswith(("costs.xen.hypercall", "seed"))]
    number = int(hashlib.sha256(" ".join(decides).encode()).hexdigest()[:6], 16)
    result = {{
        "origin": {{"commit": "abc", "dirty": False, "simulator_version": "0", "simgrid_version": "3", "compiler": "c",
                   "cost_model": "default", "cost_model_hash": "00", "scenario_hash": "1"}},
        "settings": {{}}, "guests": [],
        "metrics": {{"number": number}},
        "tables": {{"pages": {{"batch_pages": [1, 2], "ns_per_page": [number, number + 1]}}}},
    }}
    constants = {{"xen.flip": {{"value": 1500, "low": 800, "high": 4000}}, "xen.hypercall": {{"value": 600, "low": 100, "high": 700}}}}
    pathlib.Path(entry["manifest"]).write_text(json.dumps({{"run": {{"cpu_s": 0.1}}, "machine": {{}}, "constants": constants}}))
    out = pathlib.Path(entry["json"])
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(result))
    os.replace(temporary, out)
sys.exit(status)
"""


def reproduce_in(bench, *words):
    plan.digest.cache_clear()
    if "--sensitivity" not in words:
        words += ("--sensitivity", "none")
    return reproduce.run(["--simulator", str(bench / "xenfs-sim"), "--out", str(bench / "out"), "--jobs", "2", *words])


def calls(bench):
    log = bench / "calls"
    return log.read_text().splitlines() if log.exists() else []


def claims_of(monkeypatch, verdict):
    """Replaces the figure's claims by one that `verdict` decides from the table."""
    from analysis.figures import flip_copy_map
    monkeypatch.setattr(flip_copy_map, "check", lambda table, claims: claims.check("it is so", verdict(table), "text"))


def verdicts(bench):
    table = pandas.read_csv(bench / "out/data/sensitivity-claims.csv")
    return {(row.constant, row.end, row.value): row.holds for row in table.fillna("").itertuples()}
