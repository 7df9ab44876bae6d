"""Shows which way of handing pages over is best for which use, and how much worse adaptive is."""
import numpy
import pandas

from analysis.claims import signed
from analysis.style import TRANSFERS, look, over_seeds

TITLE = "Where each transfer policy wins, and adaptive's regret"
CAPTION = ("Time of the same work under each policy, over that of the best fixed one (1 = best), by use. Top group: one guest reads (or writes) a file "
           "of the host's cache; “no room”: mappings and own frames for a quarter of the file; “few entries”: a grant table for half of it. "
           "Then pages that are given back after each request, and kernel builds. adaptive's constants (how often a page of an unknown file is used, how far it maps ahead) "
           "were chosen on the points above the dashed line; those below were written down when it was finished, and nothing was changed after they were run. Right: what adaptive needs more than the best fixed policy in hindsight.")
COLUMNS = ("part", "point", "policy", "seed", "time_us")
FIXED = ("copy", "map", "map_once", "map_window", "flip")
NAMES = {"once-4k": "once, 4 KiB records", "once-256k": "once, 256 KiB", "once-256k-1cpu": "once, 256 KiB, 1 vCPU", "once-256k-16cpu": "once, 256 KiB, 16 vCPUs",
         "again-4k": "8 times, 4 KiB records", "again-256k": "8 times, 256 KiB", "again-256k-1cpu": "8 times, 256 KiB, 1 vCPU",
         "again-256k-16cpu": "8 times, 256 KiB, 16 vCPUs", "random-once": "each once, at random", "zipf": "zipf", "again-no-room": "8 times, no room",
         "zipf-no-room": "zipf, no room", "few-entries": "8 times, few entries", "small-quota": "8 times, small quota",
         "write-256k": "written 4 times, 256 KiB", "batch-1": "given back: 1 page", "batch-16": "given back: 16 pages", "batch-128": "given back: 128 pages",
         "build-2": "kernel build, 2 guests", "build-8": "kernel build, 8 guests",
         "zipf-1.2-16k": "zipf 1.2, 16 KiB", "random-2-4k": "twice, at random", "3-times-64k": "3 times, 64 KiB", "zipf-0.7-half-room": "zipf 0.7, room for half",
         "2-times-16k-no-room": "twice, 16 KiB, no room", "random-64k-no-room": "at random, 64 KiB, no room", "zipf-few-entries": "zipf, few entries",
         "write-4k": "written twice, 4 KiB", "write-random-16k": "written at random, 16 KiB", "build-3-configs": "kernel build, 3 guests, 2 configs"}
TIE = 1.01  # within a per cent of the best is as good


def ratios(table):
    """Returns by point and policy the time over the best fixed policy's, as means over the seeds; in the table's
    order."""
    means = table.groupby(["point", "policy"], sort=False).time_us.mean().unstack()
    return means.div(means[[p for p in FIXED if p in means]].min(axis=1), axis=0)


def regret_spread(table):
    """Returns by point half the 95 % interval of adaptive's regret in %; each seed counts against its own best fixed
    policy."""
    each = table.pivot_table(index=["point", "seed"], columns="policy", values="time_us")
    regret = 100 * (each["adaptive"] / each[[p for p in FIXED if p in each]].min(axis=1) - 1)
    return over_seeds(regret.rename("regret").reset_index(), "point", "regret").half


def label(policy):
    return look(policy, TRANSFERS)["label"]


def held_out(table):
    """Returns the points for which nothing about adaptive was tuned."""
    return list(dict.fromkeys(table[table.part.str.startswith("held-out")].point))


def check(table, claims):
    ratio = ratios(table)
    if not {*FIXED, "adaptive"} <= set(ratio.columns):
        return
    wins = (ratio[list(FIXED)] <= TIE).sum()
    claims.check("no fixed policy is best everywhere: each costs over 10 % more than the best at some point",
                 bool((ratio[list(FIXED)].max() > 1.1).all()),
                 f"Best, or within a per cent of it, of {len(ratio)} points, and at worst, in times of the best: "
                 + ", ".join(f"{label(p)} {wins[p]} and {ratio[p].max():.1f}" for p in FIXED))
    regret = 100 * (ratio["adaptive"] - 1)
    worst = regret.idxmax()
    out = held_out(table)
    for where, some in (("over the points on which its constants were chosen", regret.drop(out)), ("over points held out: written down when it was finished", regret[out])):
        if len(some):
            claims.check(f"adaptive is within 10 % of the best fixed policy in hindsight, on average {where}", some.mean() < 10,
                         f"{signed(some.mean(), 1)} %; over 10 % at {(some > 10).sum()} of {len(some)} points, at "
                         f"most {signed(some.max(), 1)} % ({NAMES.get(some.idxmax(), some.idxmax())})")
    claims.check("adaptive is nowhere over twice as slow as the best fixed policy in hindsight", bool(regret.max() < 100),
                 f"at most {signed(regret.max(), 1)} % ({NAMES.get(worst, worst)})")
    claims.check("adaptive's worst case is better than that of every fixed policy", bool(regret.max() < 100 * (ratio[list(FIXED)].max().min() - 1)),
                 f"{signed(regret.max(), 1)} % against {signed(100 * (ratio[list(FIXED)].max().min() - 1), 1)} %")
    dense = [p for p in ("again-256k", "again-4k") if p in ratio.index]
    claims.check("mappings that are kept beat mapping for each use where a file is read eight times",
                 bool((ratio.loc[dense, "map"] < ratio.loc[dense, "map_once"]).all()),
                 ", ".join(f"{NAMES[p]}: {ratio.loc[p, 'map_once'] / ratio.loc[p, 'map']:.1f} times" for p in dense))
    if {"once-4k", "zipf-no-room"} <= set(ratio.index):
        claims.check("a window of ranges pays where a file is read once in order, and costs where it is read by a "
                     "zipf distribution without room",
                     ratio.loc["once-4k", "map_window"] < ratio.loc["once-4k", "map"] and ratio.loc["zipf-no-room", "map_window"] > ratio.loc["zipf-no-room", "map"],
                     f"read once in order {ratio.loc['once-4k', 'map_window'] / ratio.loc['once-4k', 'map']:.2f} of map's time, zipf without room "
                     f"{ratio.loc['zipf-no-room', 'map_window'] / ratio.loc['zipf-no-room', 'map']:.1f} times",
                     published="a DAX window smaller than the file is up to 4 times worse than none",
                     source="measurements posted with virtiofs' DAX patches, 2020", known_how="V")


def draw(plt, table):
    ratio, out = ratios(table), held_out(table)
    ratio = pandas.concat([ratio.drop(out), ratio.loc[out]])
    figure, axes = plt.subplots(1, 2, figsize=(11.5, 0.3 * len(ratio) + 1.9), sharey=True, gridspec_kw={"width_ratios": [2.2, 1]})
    rows = numpy.arange(len(ratio))[::-1].astype(float)
    if out:
        rows[:-len(out)] += 1  # room for a line between
        for axis in axes:
            axis.axhline(len(out), color="#000000", linewidth=0.8, linestyle="--")
        axes[0].text(0.99, len(out) + 0.12, "chosen on the points above", transform=axes[0].get_yaxis_transform(), ha="right", va="bottom", fontsize=8)
        axes[0].text(0.99, len(out) - 0.12, "held out: the points below", transform=axes[0].get_yaxis_transform(), ha="right", va="top", fontsize=8)
    for policy in [p for p in (*FIXED, "adaptive") if p in ratio]:
        axes[0].plot(ratio[policy], rows, **{**look(policy, TRANSFERS), "linestyle": "none", "markersize": 8 if policy == "adaptive" else 6},
                     **({"markerfacecolor": "none", "markeredgewidth": 1.8} if policy == "adaptive" else {}))
    axes[0].axvline(1, color="#777777", linewidth=1)
    axes[0].set_xscale("log")
    ticks = [t for t in (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100) if t <= 1.1 * ratio.max().max()]
    axes[0].set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes[0].minorticks_off()
    axes[0].set_yticks(rows, [NAMES.get(p, p) for p in ratio.index])
    axes[0].set(xlabel="time, times the best fixed policy's")
    axes[0].legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=6, columnspacing=1, handletextpad=0.2)
    axes[0].set_ylim(-0.7, rows[0] + 0.7)
    axes[1].set_axisbelow(True)
    if "adaptive" in ratio:
        regret = 100 * (ratio["adaptive"] - 1)
        axes[1].barh(rows, regret, color=look("adaptive", TRANSFERS)["color"])
        half = regret_spread(table)
        for row, (point, value) in zip(rows, regret.items()):
            if half[point] > 0:
                axes[1].errorbar([value], [row], xerr=[half[point]], color="#000000", linewidth=1, capsize=2.5)
            axes[1].annotate(signed(value, 1), (max(value, 0) + half[point], row), xytext=(3, 0), textcoords="offset points", va="center", ha="left", fontsize=8)
        axes[1].axvline(0, color="#777777", linewidth=1)
        axes[1].margins(x=0.18)
        axes[1].set(xlabel="adaptive's regret (%)")
    return figure


def notes(table):
    return ("Fixed policies keep what they copy or map until room is wanted, but for “map for one use”. Copies that are kept double the data in the host's "
            "memory, which time does not show. A window wins most points since a request costs more than the pages of a range: adaptive maps "
            "ahead too, but by as much as a file's misses so far bear out, so that a file of which little is wanted costs little; where all of a file "
            "is read at random, it learns late.")
