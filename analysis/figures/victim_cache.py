"""Shows tmem's kernel compile: the host keeps what guests evict."""
import numpy
import pandas

from analysis.style import curve, over_seeds

TITLE = "A victim cache on the host, for guests that are short of memory"
CAPTION = ("Two guests build at the same time, each with a page cache too small for the build; the host keeps the pages that they evict (tmem). "
           "Left: sectors read from the disk, against the cache's size; the size at which they are 52 % fewer is the fitted constant. Right: what "
           "the build gains by it, predicted.")
COLUMNS = ("victim_mib", "seed", "disk_read_mib", "completion_s", "hits", "misses")
PUBLISHED_SECTORS, PUBLISHED_TIME = 52, 8  # % fewer, up to


def gains(table):
    """Returns by victim_mib the sectors saved and the time saved, in %."""
    means = table.groupby("victim_mib").mean(numeric_only=True)
    base = means.loc[0]
    means["sectors"] = 100 * (1 - means.disk_read_mib / base.disk_read_mib)
    means["time"] = 100 * (1 - means.completion_s / base.completion_s)
    return means


def by_seed(table, column):
    """Returns the same with intervals: each seed counts against its own run without a victim cache."""
    parts = [gains(rows)[[column]].assign(seed=seed) for seed, rows in table.groupby("seed")]
    return over_seeds(pandas.concat(parts).reset_index(), "victim_mib", column)


def fitted(means):
    """Returns size and time saved where the published part of the sectors is saved; None if none saves so much."""
    if means.sectors.max() < PUBLISHED_SECTORS:
        return None
    return (float(numpy.interp(PUBLISHED_SECTORS, means.sectors, means.index)),
            float(numpy.interp(PUBLISHED_SECTORS, means.sectors, means.time)))


def check(table, claims):
    if 0 not in set(table.victim_mib):
        return
    means = gains(table)
    claims.check("an evicted page that the host keeps saves the refault: the larger the cache, the fewer sectors are "
                 "read, within a point; the "
                 "largest saves over a quarter",
                 bool((means.sectors.diff().iloc[1:] > -1).all()) and means.sectors.iloc[-1] > 25,
                 ", ".join(f"{size} MiB: {100 - s:.0f} %" for size, s in means.sectors.items()) + " of the sectors",
                 published="52 % fewer sectors read", source="tmem's kernel compile", known_how="V")
    point = fitted(means)
    claims.check("where 52 % of the sectors are saved, the build is faster, by at most 2 points more than published",
                 point is not None and 0 < point[1] <= PUBLISHED_TIME + 2,
                 f"{point[1]:.1f} % faster with {point[0]:.0f} MiB" if point else f"at most {means.sectors.max():.0f} % of the sectors are saved",
                 published="up to 8 % faster", source="tmem's kernel compile", known_how="V")


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.0))
    means = gains(table)
    point = fitted(means)
    for axis, column, published, label in ((axes[0], "sectors", PUBLISHED_SECTORS, "fewer sectors read (%)"),
                                           (axes[1], "time", PUBLISHED_TIME, "less time (%)")):
        curve(axis, by_seed(table, column), color="#0072B2", marker="o", label="simulated")
        axis.axhline(published, color="#000000", linestyle=":", linewidth=1)
        axis.set(xlabel="victim cache on the host (MiB)", ylabel=label)
        axis.set_ylim(min(0, means[column].min()) - 1, max(means[column].max(), published) * 1.18)
        axis.text(means.index.max(), published, f"published: {'up to ' if column == 'time' else ''}{published} % [V]", ha="right", va="bottom", fontsize=8)
    if point:
        axes[0].plot([point[0]], [PUBLISHED_SECTORS], color="#D55E00", marker="D", linestyle="", label="fitted")
        axes[1].plot([point[0]], [point[1]], color="#D55E00", marker="D", linestyle="", label=f"predicted: {point[1]:.1f} %")
    for axis in axes:
        axis.legend(frameon=False, loc="lower right")
    return figure


def notes(table):
    return "The published machine, its disk and how far its guests were short of memory are not known here; so the size is fitted."
