"""Do the claims survive each cost constant's whole range, and another seed?

A figure's claims are checked again on a small set of its runs (plan.SENSITIVITY), one constant at a time at the low and at
the high end of its range (sim/costs/default.toml). Only constants that a run looked at can change it; its manifest says
which. Where an end turns a claim, the value at which it turns is looked for by halving. The verdicts are the table
data/sensitivity-claims.csv, one row for each claim and value tried.
"""
import dataclasses
import functools
import importlib
import io
import pathlib
import tomllib

import pandas

from experiments import plan, runner, tables

COSTS = pathlib.Path(__file__).resolve().parent.parent / "sim" / "costs" / "default.toml"
HEADLINE = "sensitivity"  # the figure that shows how far each constant moves the headline
QUICK = ("core.user_space_wake", "xen.event_notify", "memory.copy.cold", "disk.ssd.latency")
HALVINGS = {"few": 0, "all": 4}
OTHER_SEED = 1000
SEED = "seed"
COLUMNS = ("figure", "claim", "constant", "unit", "low", "high", "here", "known", "end", "value", "holds", "simulated",
           "constants_read")


@dataclasses.dataclass(frozen=True)
class Constant:
    """A cost constant in one figure's runs; its numbers are in the unit of the cost model's file."""
    name: str
    unit: str
    low: float
    high: float
    here: float
    known: str

    def text(self, value):
        return f"{value:.12g} {self.unit}"


@dataclasses.dataclass
class Figure:
    """A figure's small set of runs, and what has been tried on it."""
    name: str
    base: list
    constants: dict = dataclasses.field(default_factory=dict)   # name -> Constant
    read_by: dict = dataclasses.field(default_factory=dict)     # run key -> names that it looked at
    known: int = 0                                              # constants that its runs look at, tried or not
    tried: list = dataclasses.field(default_factory=list)       # (constant's name or SEED, end, value)
    verdicts: dict = dataclasses.field(default_factory=dict)    # (name, value) -> {claim: (holds, simulated)}

    def runs(self, name, value):
        """Returns the runs with the constant at `value`; those that do not look at it stay as they are."""
        if name == SEED:
            return [run.changed(seed=value) for run in self.base]
        text = self.constants[name].text(value)
        return [run.changed({f"costs.{name}": text}) if name in self.read_by[run.key] else run for run in self.base]


@functools.lru_cache(maxsize=None)
def cost_model():
    """Returns by name each constant's table in the cost model's file."""
    out = {}

    def walk(table, prefix):
        if "value" in table and not isinstance(table["value"], dict):
            out[prefix] = table
            return
        for key, value in table.items():
            walk(value, f"{prefix}.{key}" if prefix else key)
    walk(tomllib.loads(COSTS.read_text()), "")
    return out


def constant_of(name, read):
    """Converts from the simulator's base units to the file's."""
    entry = cost_model()[name]
    factor = entry["high"] / read["high"] if read["high"] else 1
    return Constant(name, entry["unit"], entry["low"], entry["high"], float(f"{read['value'] * factor:.9g}"), entry["known"])


def base_runs(names, options):
    """Returns by figure its Figure with the runs that are varied."""
    program = plan.simulator_digest(options.simulator)
    return {name: Figure(name, plan.expand(name, options.scale if name == HEADLINE else plan.SENSITIVITY, program, options.seed))
            for name in names}


def look_up_constants(figure, options):
    """Finds which constants the figure's runs look at, from their manifests."""
    found = {}
    for i, run in enumerate(figure.base):
        stored = runner.run_manifest(options.out, run)
        read = stored.get("constants", {})
        figure.read_by[run.key] = set(read)
        # From here on the expected cost is the measured one.
        figure.base[i] = dataclasses.replace(run, weight=max(stored.get("run", {}).get("cpu_s", run.weight), 0.01))
        for name, numbers in read.items():
            if name in cost_model():
                found.setdefault(name, constant_of(name, numbers))
    figure.known = len(found)
    wanted = plan.quick_constants(figure.name) or QUICK
    unknown = set(wanted) - cost_model().keys()
    if unknown:
        raise plan.PlanError(f"{figure.name}.toml: sensitivity.quick: the cost model has no {', '.join(sorted(unknown))}")
    figure.constants = {name: found[name] for name in sorted(found)
                        if options.sensitivity == "all" or name in wanted}


def ends(figure):
    """Returns (constant, end, value) of both ends, where they differ from the value in use."""
    for name, constant in figure.constants.items():
        for end, value in (("low", constant.low), ("high", constant.high)):
            if value != constant.here:
                yield name, end, value


def check(figure, options, name, value, results, failed):
    """Returns the verdicts of the figure's claims with one constant changed; {} where a run failed."""
    runs = figure.base if name is None else figure.runs(name, value)
    if any(run.key in failed for run in runs):
        return {}
    base = {run.key for run in figure.base}
    for run in runs:
        if run.key in base and run.key not in results:
            results[run.key] = runner.load(options.out, run)
    pairs = [(run, results.get(run.key) or runner.load(options.out, run)) for run in runs]
    # The table goes through CSV, as the figure itself reads it.
    text = tables.table(figure.name, pairs).to_csv(index=False)
    from analysis.claims import Claims
    module = importlib.import_module(f"analysis.figures.{figure.name.replace('-', '_')}")
    claims = Claims(figure.name)
    module.check(pandas.read_csv(io.StringIO(text)), claims)
    return {claim.claim: (claim.holds, claim.simulated) for claim in claims.rows}


def turned(figure, name, end, claim):
    """Returns the two tried values between which the verdict changes, from the value in use to `end`, or None."""
    here, verdict = figure.constants[name].here, figure.verdicts[None, None][claim][0]
    side = [(abs(value - here), value) for n, e, value in figure.tried if n == name and (e == end or e == f"to {end}")]
    before = here
    for _, value in sorted(side):
        holds = figure.verdicts[name, value].get(claim, (None, ""))[0]
        if holds is not None and holds != verdict:
            return before, value
        before = value
    return None


def halves(figure):
    """Returns new values to try, one in the middle of each stretch in which a verdict changes."""
    out = set()
    for name, constant in figure.constants.items():
        for end in ("low", "high"):
            for claim in figure.verdicts[None, None]:
                between = turned(figure, name, end, claim)
                if between is None:
                    continue
                low, high = sorted(between)
                middle = (low * high) ** 0.5 if low > 0 and high / low > 3 else (low + high) / 2
                middle = float(f"{middle:.3g}") if constant.unit != "count" else float(round(middle))
                if low < middle < high:
                    out.add((name, f"to {end}", middle))
    return sorted(out)


def same_result(one, other):
    """Returns whether two runs' results are equal except for their origin."""
    return all(one.get(part) == other.get(part) for part in ("metrics", "tables", "guests"))


def explore(options, figures):
    """Runs all variations and fills in the figures' verdicts. Returns figure -> part -> whether the seed matters."""
    if not figures:
        return {}
    results, failed = {}, {}
    for figure in figures.values():
        look_up_constants(figure, options)
        figure.verdicts[None, None] = check(figure, options, None, None, results, failed) if figure.name != HEADLINE else {}
    fresh = {figure.name: [(SEED, "seed", OTHER_SEED + options.seed), *ends(figure)] for figure in figures.values()}
    for step in range(HALVINGS[options.sensitivity] + 1):
        wanted = [run for name, tries in fresh.items() for one, _, value in tries for run in figures[name].runs(one, value)]
        if not wanted:
            break
        what = "sensitivity: " if step == 0 else f"sensitivity, where claims turn ({step} of {HALVINGS[options.sensitivity]}): "
        failed.update(runner.simulate(options, wanted, what, may_fail=True))
        for name, tries in fresh.items():
            figure = figures[name]
            figure.tried += tries
            if name == HEADLINE:
                continue
            for one, _, value in tries:
                figure.verdicts[one, value] = check(figure, options, one, value, results, failed)
        fresh = {name: halves(figure) for name, figure in figures.items() if name != HEADLINE}
    return {name: seed_matters(figure, options) for name, figure in figures.items()}


def seed_matters(figure, options):
    """Returns by part whether another seed changed any of its results."""
    out = {}
    for one, other in zip(figure.base, figure.runs(SEED, OTHER_SEED + options.seed)):
        changed = not same_result(runner.load(options.out, one), runner.load(options.out, other))
        out[one.part] = out.get(one.part, False) or changed
    return out


def claims_table(figures):
    """Returns one tidy row for each claim and value tried, the values in use first."""
    rows = []
    for figure in figures.values():
        if figure.name == HEADLINE:
            continue
        for claim, (holds, simulated) in figure.verdicts[None, None].items():
            rows.append((figure.name, claim, "", "", None, None, None, "", "here", None, holds, simulated, figure.known))
            for name, end, value in figure.tried:
                now, text = figure.verdicts[name, value].get(claim, (None, "could not be run"))
                c = figure.constants.get(name) or Constant(SEED, "", None, None, figure.base[0].seed, "")
                rows.append((figure.name, claim, name, c.unit, c.low, c.high, c.here, c.known, end, value, now, text,
                             figure.known))
    return pandas.DataFrame(rows, columns=COLUMNS)


def headline_table(figure, options):
    """Returns the headline's numbers with the constants in use, and with each at both ends."""
    parts = []
    for name, end, value in [(None, "here", None), *figure.tried]:
        runs = figure.base if name is None else figure.runs(name, value)
        if name == SEED or any(not runner.result_file(options.out, run.key).exists() for run in runs):
            continue
        part = tables.table(HEADLINE, [(run, runner.load(options.out, run)) for run in runs])
        c = figure.constants.get(name) or Constant("", "", None, None, None, "")
        for column, cell in (("constant", c.name), ("unit", c.unit), ("low", c.low), ("high", c.high), ("here", c.here),
                             ("known", c.known), ("end", end), ("value", value)):
            part[column] = cell
        parts.append(part)
    return pandas.concat(parts, ignore_index=True)
