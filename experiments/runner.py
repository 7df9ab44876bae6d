"""Runs the missing simulations through Snakemake, with progress; a result is whole or does not exist."""
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from experiments import plan

HERE = pathlib.Path(__file__).resolve().parent
# A batch has so many runs, or so much expected cost (CPU seconds where it was measured), except for a single costlier
# one.
BATCH_RUNS, BATCH_COST = 40, 10.0


class Failure(Exception):
    """Carries one sentence for the user, and the exit code."""

    def __init__(self, text, code=2):
        super().__init__(text)
        self.code = code


def write_whole(path, text):
    """Replaces `path` in one step: a full disk or a ^C leaves the old file as it was."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Failure(f"{path}: cannot be written: {error.strerror}") from None


def make_directory(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{path}: cannot be made: {error.strerror}") from None


def lock(out):
    """Keeps a second reproduce out of the same directory; held until this process ends."""
    try:
        file = open(out / ".lock", "w", encoding="utf-8")
    except OSError as error:
        raise Failure(f"{out}: cannot be written to: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Failure(f"{out}: another reproduce is at work there; wait for it, or give another --out") from None
    return file


def result_file(out, key):
    return out / "runs" / f"{key}.json"


def load(out, run):
    path = result_file(out, run.key)
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise Failure(f"{path}: not a result: {error}") from None


def run_manifest(out, run):
    """Returns what the run left beside its result; {} where it left nothing."""
    path = out / "runs" / f"{run.key}.manifest"
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return {}


class Progress:
    """Tells how far the work is and how long it may take, from the runs that have ended so far."""

    def __init__(self, weights, out, what):
        self.pending, self.out, self.what = dict(weights), out, what
        self.count, self.total = len(weights), sum(weights.values())
        self.started = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.said = 0.0

    def show(self, last=False):
        now = time.monotonic()
        if not last and now - self.said < (1 if self.terminal else 10):
            return
        self.said = now
        self.pending = {key: w for key, w in self.pending.items() if not result_file(self.out, key).exists()}
        share = 1 - sum(self.pending.values()) / self.total if self.pending else 1
        used = now - self.started
        left = f"about {used * (1 - share) / share:.0f} s left" if 0 < share < 1 else f"{used:.0f} s"
        text = f"[reproduce] {self.what}{self.count - len(self.pending)} of {self.count} runs, {left}"
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def simulator_of(run, options):
    """Returns the program; or, for policies written in Python, the module, which does the same with them loaded."""
    if not run.python:
        return [str(options.simulator.resolve())]
    return ["env", f"XENFS_POLICIES={plan.POLICIES}", sys.executable, "-m", "xenfs_lab"]


def batches_of(options, runs):
    """Makes lists of runs for one process each: it reads the captures that they share only once."""
    groups = {}
    for run in sorted(runs, key=lambda run: -run.weight):
        groups.setdefault((run.python, str(dict(run.settings).get("workload.captures", run.scenario))), []).append(run)
    directory = options.out / "batches"
    shutil.rmtree(directory, ignore_errors=True)  # of earlier calls: what they made is in runs/
    make_directory(directory)
    out = {}
    for group in groups.values():
        limit = max(BATCH_COST, group[0].weight)
        while group:
            part, cost = [], 0.0
            while group and len(part) < BATCH_RUNS and (not part or cost + group[0].weight <= limit):
                part.append(group.pop(0))
                cost += part[-1].weight
            name = hashlib.sha256("".join(run.key for run in part).encode()).hexdigest()[:20]
            stem = str(options.out / "runs")
            write_whole(directory / f"{name}.json", json.dumps([{
                "scenario": str(run.scenario), "set": [*run.sets(), f"seed={run.seed}"], "json": f"{stem}/{run.key}.json",
                "manifest": f"{stem}/{run.key}.manifest", "log": f"{stem}/{run.key}.log"} for run in part]))
            out[name] = [*simulator_of(part[0], options), "batch", str(directory / f"{name}.json")]
    return out


def last_line(path):
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else ""


def simulate(options, runs, what="", may_fail=False):
    """Has Snakemake make what is missing. Returns the runs that failed, where they may, with the reason."""
    missing = {run.key: run for run in runs if not result_file(options.out, run.key).exists()}
    unique = {run.key: run for run in runs}
    print(f"[reproduce] {what}{len(unique)} runs, {len(missing)} to do, {options.jobs} at a time", file=sys.stderr)
    if not missing:
        return {}
    make_directory(options.out / "runs")
    for key in missing:
        (options.out / "runs" / f"{key}.log").unlink(missing_ok=True)
    # The costliest come first, so that the last ones end together.
    ordered = sorted(missing.values(), key=lambda run: -run.weight)
    write_whole(options.out / "plan.json", json.dumps(batches_of(options, ordered), indent=1))
    log = options.out / "snakemake.log"
    command = ["snakemake", "--snakefile", str(HERE / "Snakefile"), "--directory", str(options.out),
               "--cores", str(options.jobs), "--config", f"plan={options.out / 'plan.json'}",
               "--quiet", "all", "--keep-going", "--rerun-incomplete", "--keep-incomplete", "--rerun-triggers", "mtime",
               "--nolock", "--latency-wait", "0", "--scheduler", "greedy"]
    progress = Progress({key: run.weight for key, run in missing.items()}, options.out, what)
    with open(log, "w", encoding="utf-8") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            while child.poll() is None:
                time.sleep(0.2)
                progress.show()
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise
    progress.show(last=True)
    failed = {key: run for key, run in missing.items() if not result_file(options.out, key).exists()}
    reasons = {key: last_line(options.out / "runs" / f"{key}.log") for key in failed}
    if may_fail and all(reasons.values()):
        return reasons
    if failed:
        of_batches = [text for text in map(last_line, sorted((options.out / "batches").glob("*.log"))) if text]
        unwritten = next((text for text in of_batches if "cannot be written" in text), None)
        # The disk was so full that not even the log was written.
        if not unwritten and shutil.disk_usage(options.out).free < 1 << 16:
            unwritten = f"{options.out}: cannot be written to: No space left on device"
        if unwritten:
            raise Failure(f"{unwritten.removeprefix('xenfs-sim: ')}; {len(missing) - len(failed)} of {len(missing)} runs are done and kept", 2)
        for key, run in list(failed.items())[:10]:
            where = " ".join(f"{axis}={value}" for axis, value in run.labels)
            why = reasons[key] or next(iter(of_batches), "")
            print(f"[reproduce] {run.figure} ({where}): {why or 'did not run; see ' + str(log)}", file=sys.stderr)
        raise Failure(f"{len(failed)} of {len(missing)} runs failed; the others are kept", 1)
    return {}
