"""Shows completion time and disk reads of simultaneous builds, by number of guests and by the cache's size."""
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.style import look, nested, ticks

TITLE = "Build time and disk reads, by number of guests and by cache size"
CAPTION = ("Top: simultaneous builds of the same configuration with an ample cache: time until the last one ends, and what the "
           "disk read in all. Bottom: the same with a given number of guests, against the size of one cache: XenFS's shared cache; the NFS server's (whose clients keep "
           "caches of their own besides); on block devices each guest's own page cache, its memory less 96 MiB. "
           "Hollow: "
           "operations failed there, so that the workload was cut short.")
COLUMNS = ("panel", "guests", "arm", "config", "cache_mib", "seed", "completion_s", "disk_reads", "disk_read_mib",
           "failed_operations")
ORDER = ("private", "nfs", "xenfs-name", "xenfs-content")


def curves(table, panel, column, value):
    chosen = table[table.panel == panel]
    if panel == "guests":
        chosen = chosen[chosen.config == "same"]
    return {arm: rows.groupby(column)[value].mean() for arm, rows in chosen.groupby("arm")}


def cut_short(table, panel, arm, column):
    """Returns where operations failed that had succeeded when they were recorded."""
    return set(table[(table.panel == panel) & (table.arm == arm) & (table.failed_operations > 0)][column])


def check(table, claims):
    reads = curves(table, "guests", "guests", "disk_read_mib")
    if {"private", "xenfs-name"} <= reads.keys():
        few, many = reads["private"].index[0], reads["private"].index[-1]
        name = reads["xenfs-name"]
        further = (name.loc[many] - name.loc[few]) / (many - few)
        claims.check(
            "with one cache for the host, each guest beyond the first reads from the disk at most a twentieth of what one with a cache of its own does",
            further < 0.05 * reads["private"].loc[few],
            f"{name.loc[many]:,.1f} MiB read for {many} guests, {further:,.1f} for each beyond the first; {reads['private'].loc[few]:,.1f} for one with a cache of its own",
            published="“If one guest has already loaded some data into memory, the others can access it without disk IO being required”",
            source="XenFS status report, 2009", known_how="V")
        private = reads["private"]
        claims.check(
            "with private caches, every guest reads for itself: at least nine tenths of what one alone reads",
            private.loc[many] > 0.9 * (many / few) * private.loc[few],
            f"{private.loc[many] / private.loc[few]:.1f} times the reads with {many / few:.0f} times the guests")
    times = curves(table, "guests", "guests", "completion_s")
    if {"private", "nfs", "xenfs-name"} <= times.keys():
        many = times["private"].index[-1]
        claims.check(
            "with an ample cache and the most guests, a XenFS build ends before the same build over NFS",
            times["xenfs-name"].loc[many] < times["nfs"].loc[many],
            f"{times['xenfs-name'].loc[many]:,.1f} s against {times['nfs'].loc[many]:,.1f} s with {many} guests",
            published="“NFS is our role model, block device is our target performance”",
            source="XenFS slides, 2006", known_how="A")
        claims.check(
            "with an ample cache and the most guests, a XenFS build takes at most a tenth longer than one on a block "
            "device",
            times["xenfs-name"].loc[many] < 1.1 * times["private"].loc[many],
            f"{times['xenfs-name'].loc[many] / times['private'].loc[many]:.2f} times the block device's with {many} "
            "guests",
            published="“block device is our target performance”", source="XenFS slides, 2006", known_how="A")
    knee = curves(table, "cache", "cache_mib", "disk_read_mib").get("xenfs-name")
    if knee is not None and len(knee) > 2:
        floor = knee.iloc[-1]
        settled = [size for size, value in knee.items() if value <= 1.1 * floor]
        claims.check(
            "as the shared cache grows, disk reads fall to less than half, down to a knee, and after it by at most a "
            "tenth",
            knee.iloc[0] > 2 * floor and knee.index[0] < settled[0] <= knee.index[-1],
            f"{knee.iloc[0] / floor:.1f} times the reads with {knee.index[0]:g} MiB; settled from {settled[0]:g} MiB on")


def draw(plt, table):
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 7))
    panels = (("guests", "guests", "guests"), ("cache", "cache_mib", "size of the cache (MiB)"))
    for row, (panel, column, label) in zip(axes, panels):
        for axis, value, unit in zip(row, ("completion_s", "disk_read_mib"),
                                     ("time until the last build ends (s)", "read from the disk, in all (MiB)")):
            by_arm = curves(table, panel, column, value)
            for place, arm in enumerate(a for a in ORDER if a in by_arm):
                axis.plot(by_arm[arm].index, by_arm[arm], **look(arm), **nested(place))
                cut = by_arm[arm][by_arm[arm].index.isin(cut_short(table, panel, arm, column))]
                axis.plot(cut.index, cut, **{**look(arm), "label": None, "linestyle": ""}, markersize=9,
                          markerfacecolor="white", markeredgewidth=1.6)
            axis.set(xlabel=label, ylabel=unit)
            if panel == "cache":  # the block device's thrashing would flatten the knee of the others
                axis.set_xscale("log", base=2)
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
                axis.yaxis.set_minor_formatter(NullFormatter())
                axis.xaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_major_formatter("{x:g}")
                continue
            axis.set_ylim(bottom=0)
            if by_arm:
                ticks(axis, table[table.panel == "guests"].guests)
    axes[0][0].legend(frameon=False)
    return figure


def notes(table):
    cache = table[table.panel == "cache"]
    fixed = cache.guests.unique()
    text = [f"Bottom row: {fixed[0]} guests."] if len(fixed) == 1 else []
    times = curves(table, "cache", "cache_mib", "completion_s")
    if {"nfs", "xenfs-name"} <= times.keys():
        slower = [f"{size:g}" for size, value in times["xenfs-name"].items() if value > times["nfs"].get(size, value)]
        if slower:
            text.append(f"With a cache of {', '.join(slower)} MiB NFS is faster than XenFS: NFS's clients keep "
                        "caches of their "
                        "own.")
    return " ".join(text)
