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

from experiments import plan, sensitivity, tables  # noqa: E402
from experiments.runner import Failure, load, lock, make_directory, result_file, run_manifest, simulate, write_whole  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
GALLERY = ROOT / "analysis" / "gallery"  # the README's pictures, each with the table that it shows


def arguments(words):
    names = plan.names()
    parser = argparse.ArgumentParser(prog="lab reproduce", description=__doc__)
    parser.add_argument("--scale", choices=plan.SCALES, default="quick",
                        help="quick: minutes, smaller grids; full: the real thing (default: quick)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME",
                        help="draw these figures only, in DIR/only/; the page of all in DIR/ stays as it was. There "
                             f"are {', '.join(names)}")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out", metavar="DIR",
                        help="where all goes (default: out/)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="added to the seeds of the sweeps")
    parser.add_argument("--sensitivity", choices=("none", "few", "all"),
                        help="which cost constants are varied to see whether the claims survive (default: few for quick, all for full)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    parser.add_argument("--simulator", type=pathlib.Path, default=ROOT / "build/release/bin/xenfs-sim",
                        help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.jobs < 1:
        parser.error("--jobs: at least 1 is wanted")
    if not options.simulator.exists():
        raise Failure(f"{options.simulator}: the simulator is not built; './lab reproduce' builds it")
    options.sensitivity = options.sensitivity or {"quick": "few", "full": "all"}[options.scale]
    caller = os.environ.get("LAB_CALLER_DIR")
    if caller and not options.out.is_absolute():
        options.out = pathlib.Path(caller) / options.out
    options.out = options.out.resolve()
    # A page, its tables and its verdicts are of one call. Results are shared.
    options.page = options.out / "only" if options.only else options.out
    return options


def names_of(options):
    """Returns the figures to draw. Without variations of the constants there is no figure of them."""
    if options.sensitivity != "none":
        return options.only or plan.names()
    if options.only and sensitivity.HEADLINE in options.only:
        raise Failure(f"--only {sensitivity.HEADLINE} draws what --sensitivity varies; with --sensitivity none there "
                      "is nothing to draw")
    return options.only or [name for name in plan.names() if name != sensitivity.HEADLINE]


def make_plan(options):
    program = plan.simulator_digest(options.simulator)
    return {name: plan.expand(name, options.scale, program, options.seed)
            for name in names_of(options)}


def versions():
    out = {"python": platform.python_version()}
    for name in ("numpy", "pandas", "matplotlib", "snakemake"):
        module = __import__(name)
        out[name] = getattr(module, "__version__", "unknown")
    return out


def seeds_of(runs, random):
    """Returns by part the seeds that were run, and whether another one changed anything (null: not tried)."""
    # Where only parts were tried that sensitivity runs alone have, these stand for the figure's.
    other = any(random.values()) if random and not any(run.part in random for run in runs) else None
    return {part: {"seeds": sorted({run.seed for run in runs if run.part == part}), "random": random.get(part, other)}
            for part in dict.fromkeys(run.part for run in runs)}


def failures_of(runs, results):
    """Says in which runs operations of the workload failed that had succeeded when it was recorded, the worst first;
    None where none did."""
    failed = [(run, metrics) for run in runs if (metrics := results[run.key]["metrics"]).get("failed_operations")]
    failed.sort(key=lambda pair: -pair[1]["failed_operations"])
    if not failed:
        return None
    return {"of": len(runs), "runs": [{"labels": dict(run.labels), "operations": metrics["failed_operations"],
                                       "first": metrics["first_failure"]} for run, metrics in failed]}


def manifest(options, by_figure, results, random, seconds):
    origins = [results[run.key]["origin"] for runs in by_figure.values() for run in runs]
    first = origins[0]
    stored = [run_manifest(options.out, run) for runs in by_figure.values() for run in runs]
    machine = next((one["machine"] for one in stored if "machine" in one), {})
    return {
        "commit": first["commit"], "dirty": first["dirty"], "scale": options.scale, "seed": options.seed,
        "simulator_version": first["simulator_version"], "simgrid_version": first["simgrid_version"],
        "compiler": first["compiler"], "cost_model": first["cost_model"],
        "cost_model_hash": sorted({o["cost_model_hash"] for o in origins}),
        "machine": machine, "versions": versions(), "seconds": round(seconds, 1),
        "sensitivity": options.sensitivity,
        "says": {name: plan.says(name, options.scale) for name in by_figure},
        "failed_operations": {name: found for name, runs in by_figure.items() if (found := failures_of(runs, results))},
        "seeds": {name: seeds_of(runs, random.get(name, {})) for name, runs in by_figure.items()},
        "figures": {name: [{"part": run.part, **dict(run.labels), "seed": run.seed, "key": run.key,
                            "scenario_hash": results[run.key]["origin"]["scenario_hash"]} for run in runs]
                    for name, runs in by_figure.items()},
    }


def report(options, names):
    program = ROOT / "analysis" / "report.py"
    if not program.exists():
        raise Failure(f"{program}: not there, so no figures; the tables are in {options.page / 'data'}", 1)
    done = subprocess.run([sys.executable, str(program), "--data", str(options.page / "data"),
                           "--out", str(options.page), "--manifest", str(options.page / "manifest.json"), "--only", *names], check=False)
    if done.returncode:
        raise Failure("the report could not be made; the tables are kept", done.returncode)


def compare_gallery(options, names):
    """Says which pictures of the README show another table than this call made; they are of the quick scale."""
    for shown in sorted(GALLERY.glob("*.csv")) if options.scale == "quick" and options.seed == 0 else ():
        made = options.page / "data" / shown.name
        if shown.stem in names and made.read_bytes() != shown.read_bytes():
            picture = options.page / "figures" / f"{shown.stem}.png"
            print(f"[reproduce] the README's picture {shown.stem}.png shows other data; renew it by: "
                  f"cp {made} {picture} {GALLERY}", file=sys.stderr)


def dry_run(by_figure, options):
    seen = set()
    for name, runs in by_figure.items():
        new = [run for run in runs if run.key not in seen]
        done = sum(result_file(options.out, run.key).exists() for run in new)
        seen.update(run.key for run in runs)
        print(f"{name}: {len(runs)} runs, {len(runs) - len(new)} shared with the above, {done} done already")
        for run in new:
            print("  xenfs-sim " + " ".join(run.arguments()))
    if options.sensitivity != "none":
        figures = sensitivity.base_runs(by_figure, options)
        runs = {run.key for figure in figures.values() for run in figure.base}
        which = "each cost constant that they look at" if options.sensitivity == "all" else "a few cost constants of each figure"
        print(f"sensitivity: {len(runs)} runs, {len(runs & seen)} shared with the above; then those again for {which}, at both ends of its range")


def run(words=None):
    options = arguments(words)
    by_figure = make_plan(options)
    if options.dry_run:
        dry_run(by_figure, options)
        return 0
    started = time.monotonic()
    make_directory(options.out)
    held = lock(options.out)
    figures = sensitivity.base_runs(by_figure, options) if options.sensitivity != "none" else {}
    wanted = [run for runs in by_figure.values() for run in runs]
    simulate(options, [*wanted, *(run for figure in figures.values() for run in figure.base)])
    random = sensitivity.explore(options, figures)
    data = options.page / "data"
    make_directory(data)
    results = {}
    for name, runs in by_figure.items():
        for one in runs:
            results.setdefault(one.key, load(options.out, one))
        if name == sensitivity.HEADLINE:
            table = sensitivity.headline_table(figures[name], options)
        else:
            table = tables.table(name, [(one, results[one.key]) for one in runs])
        write_whole(data / f"{name}.csv", table.to_csv(index=False))
    if figures:
        write_whole(data / "sensitivity-claims.csv", sensitivity.claims_table(figures).to_csv(index=False))
    else:  # those of an earlier call say nothing about this one
        (data / "sensitivity-claims.csv").unlink(missing_ok=True)
    seconds = time.monotonic() - started
    write_whole(options.page / "manifest.json",
                json.dumps(manifest(options, by_figure, results, random, seconds), indent=1) + "\n")
    report(options, list(by_figure))
    compare_gallery(options, by_figure)
    print(f"[reproduce] done in {time.monotonic() - started:.0f} s", file=sys.stderr)
    held.close()
    return 0


def interrupted(number, frame):
    """Makes a terminated reproduce end as an interrupted one does, and its simulations with it."""
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
