#!/usr/bin/env python3
"""Runs the experiments and draws the figures: ./lab reproduce."""
import argparse
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from experiments import plan, tables  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Failure(Exception):
    """One sentence for the user, and the exit code."""

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


def arguments(words):
    names = plan.names()
    parser = argparse.ArgumentParser(prog="lab reproduce", description=__doc__)
    parser.add_argument("--scale", choices=plan.SCALES, default="quick",
                        help="quick: minutes, smaller grids; full: the real thing (default: quick)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out", help="where all goes (default: out/)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="added to the seeds of the sweeps")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    parser.add_argument("--simulator", type=pathlib.Path, default=ROOT / "build/release/bin/xenfs-sim",
                        help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.jobs < 1:
        parser.error("--jobs: at least 1 is wanted")
    if not options.simulator.exists():
        raise Failure(f"{options.simulator}: the simulator is not built; './lab reproduce' builds it")
    caller = os.environ.get("LAB_CALLER_DIR")
    if caller and not options.out.is_absolute():
        options.out = pathlib.Path(caller) / options.out
    options.out = options.out.resolve()
    return options


def make_plan(options):
    program = plan.simulator_digest(options.simulator)
    return {name: plan.expand(name, options.scale, program, options.seed)
            for name in options.only or plan.names()}


def result_file(out, key):
    return out / "runs" / f"{key}.json"


class Progress:
    """How far it is and how long it may take, from the runs that have ended so far."""

    def __init__(self, weights, out):
        self.weights, self.out = weights, out
        self.total = sum(weights.values())
        self.started = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.said = 0.0

    def show(self, last=False):
        now = time.monotonic()
        if not last and not self.terminal and now - self.said < 10:
            return
        self.said = now
        done = [key for key in self.weights if result_file(self.out, key).exists()]
        share = sum(self.weights[key] for key in done) / self.total
        used = now - self.started
        left = f"about {used * (1 - share) / share:.0f} s left" if 0 < share < 1 else f"{used:.0f} s"
        text = f"[reproduce] {len(done)} of {len(self.weights)} runs, {left}"
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def simulator_of(run, options):
    """The program; or, for policies written in Python, the module, which does the same with them loaded."""
    if not run.python:
        return [str(options.simulator.resolve())]
    return ["env", f"XENFS_POLICIES={plan.POLICIES}", sys.executable, "-m", "xenfs_lab"]


def simulate(options, runs):
    """Has Snakemake make what is missing."""
    missing = {run.key: run for run in runs if not result_file(options.out, run.key).exists()}
    unique = {run.key: run for run in runs}
    print(f"[reproduce] {len(unique)} runs, {len(missing)} to do, {options.jobs} at a time", file=sys.stderr)
    if not missing:
        return
    (options.out / "runs").mkdir(parents=True, exist_ok=True)
    # The heaviest first: the last ones then end together.
    ordered = sorted(missing.values(), key=lambda run: -run.weight)
    write_whole(options.out / "plan.json", json.dumps({"runs": {
        run.key: {"figure": run.figure, "command": [*simulator_of(run, options), *run.arguments()]}
        for run in ordered}}, indent=1))
    log = options.out / "snakemake.log"
    command = ["snakemake", "--snakefile", str(HERE / "Snakefile"), "--directory", str(options.out),
               "--cores", str(options.jobs), "--config", f"plan={options.out / 'plan.json'}",
               "--quiet", "all", "--keep-going", "--rerun-incomplete", "--keep-incomplete", "--rerun-triggers", "mtime",
               "--nolock", "--latency-wait", "0", "--scheduler", "greedy"]
    progress = Progress({key: run.weight for key, run in missing.items()}, options.out)
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
    failed = [run for key, run in missing.items() if not result_file(options.out, key).exists()]
    if failed:
        for run in failed[:10]:
            text = options.out / "runs" / f"{run.key}.log"
            lines = text.read_text(errors="replace").strip().splitlines() if text.exists() else []
            where = " ".join(f"{axis}={value}" for axis, value in run.labels)
            print(f"[reproduce] {run.figure} ({where}): {lines[-1] if lines else 'did not run; see ' + str(log)}",
                  file=sys.stderr)
        raise Failure(f"{len(failed)} of {len(missing)} runs failed; the others are kept", 1)


def load(out, run):
    path = result_file(out, run.key)
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise Failure(f"{path}: not a result: {error}") from None


def versions():
    out = {"python": platform.python_version()}
    for name in ("numpy", "pandas", "matplotlib", "snakemake"):
        module = __import__(name)
        out[name] = getattr(module, "__version__", "unknown")
    return out


def manifest(options, by_figure, results, seconds):
    origins = [results[run.key]["origin"] for runs in by_figure.values() for run in runs]
    first = origins[0]
    machine = {}
    for runs in by_figure.values():
        stored = options.out / "runs" / f"{runs[0].key}.manifest"
        if stored.exists():
            machine = json.loads(stored.read_text()).get("machine", {})
            break
    return {
        "commit": first["commit"], "dirty": first["dirty"], "scale": options.scale, "seed": options.seed,
        "simulator_version": first["simulator_version"], "simgrid_version": first["simgrid_version"],
        "compiler": first["compiler"], "cost_model": first["cost_model"],
        "cost_model_hash": sorted({o["cost_model_hash"] for o in origins}),
        "machine": machine, "versions": versions(), "seconds": round(seconds, 1),
        "figures": {name: [{"part": run.part, **dict(run.labels), "seed": run.seed, "key": run.key,
                            "scenario_hash": results[run.key]["origin"]["scenario_hash"]} for run in runs]
                    for name, runs in by_figure.items()},
    }


def report(options, names):
    program = ROOT / "analysis" / "report.py"
    if not program.exists():
        raise Failure(f"{program}: not there, so no figures; the tables are in {options.out / 'data'}", 1)
    done = subprocess.run([sys.executable, str(program), "--data", str(options.out / "data"), "--out", str(options.out),
                           "--manifest", str(options.out / "manifest.json"), "--only", *names], check=False)
    if done.returncode:
        raise Failure("the report could not be made; the tables are kept", done.returncode)


def dry_run(by_figure, options):
    seen = set()
    for name, runs in by_figure.items():
        new = [run for run in runs if run.key not in seen]
        done = sum(result_file(options.out, run.key).exists() for run in new)
        seen.update(run.key for run in runs)
        print(f"{name}: {len(runs)} runs, {len(runs) - len(new)} shared with the above, {done} done already")
        for run in new:
            print("  xenfs-sim " + " ".join(run.arguments()))


def run(words=None):
    options = arguments(words)
    by_figure = make_plan(options)
    if options.dry_run:
        dry_run(by_figure, options)
        return 0
    started = time.monotonic()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{options.out}: cannot be made: {error.strerror}") from None
    simulate(options, [run for runs in by_figure.values() for run in runs])
    data = options.out / "data"
    data.mkdir(exist_ok=True)
    results = {}
    for name, runs in by_figure.items():
        for one in runs:
            results.setdefault(one.key, load(options.out, one))
        table = tables.table(name, [(one, results[one.key]) for one in runs])
        write_whole(data / f"{name}.csv", table.to_csv(index=False))
    seconds = time.monotonic() - started
    write_whole(options.out / "manifest.json",
                json.dumps(manifest(options, by_figure, results, seconds), indent=1) + "\n")
    report(options, list(by_figure))
    print(f"[reproduce] done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


def interrupted(number, frame):
    """A terminated reproduce ends as an interrupted one: its simulations go with it."""
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupted)
    try:
        return run()
    except (Failure, plan.PlanError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return getattr(error, "code", 2)
    except KeyboardInterrupt:
        print("\nreproduce: interrupted; what is done is kept, the same command goes on from there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
