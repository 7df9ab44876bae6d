"""Shows iozone's surface: throughput over file size and record size, one panel an arm."""
import numpy
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.style import look, nested

TITLE = "iozone: throughput over file size and record size"
CAPTION = ("Reread of iozone's automatic mode in one guest. Dashed lines: the guest's memory and the host's cache, where the "
           "data stop fitting; the first step, at 32 MiB, is the processor's cache. A cell is centred on the sizes "
           "that were "
           "tried; its colour is logarithmic. Content is iozone's unique pattern, so nothing is gained by "
           "deduplication.")
COLUMNS = ("arm", "test", "size_kib", "record_kib", "seed", "throughput_kib_per_s", "guest_memory_mib", "host_cache_mib")
ORDER = ("private", "nfs", "xenfs-name", "xenfs-content")
SHOWN = "reread"


def by_size(rows):
    """Returns the median throughput over record sizes, MiB/s, by file size in MiB."""
    series = rows.groupby("size_kib").throughput_kib_per_s.median() / 1024
    series.index = series.index / 1024
    return series


def arms_of(table):
    present = set(table.arm)
    return [a for a in ORDER if a in present] + sorted(present - set(ORDER))


def check(table, claims):
    shown = table[table.test == SHOWN]
    for arm in arms_of(shown):
        rows = shown[shown.arm == arm]
        speed = by_size(rows)
        guest, host = rows.guest_memory_mib.iloc[0], rows.host_cache_mib.iloc[0]
        label = look(arm)["label"]
        # Inside is what fits half of the guest's memory but no processor's cache.
        inside, between, beyond = (speed[(speed.index > low) & (speed.index <= high)].median()
                                   for low, high in ((32, guest / 2), (guest, host), (host, float("inf"))))
        if arm == "private":
            claims.check(f"{label}: rereads fall to less than a fifth once the file exceeds the guest's memory",
                         between < 0.2 * inside, f"{inside:,.0f} MiB/s inside, {between:,.0f} MiB/s beyond {guest:g} MiB")
        else:
            claims.check(f"{label}: two knees: beyond the guest's memory at least a fifth slower, beyond the host's "
                         "cache "
                         "another five times",
                         beyond < 0.2 * between < 0.2 * 0.8 * inside,
                         f"{inside:,.0f} MiB/s inside the guest's memory, {between:,.0f} inside the host's cache, {beyond:,.0f} beyond")
    xenfs, private = shown[shown.arm == "xenfs-name"], shown[shown.arm == "private"]
    if not xenfs.empty and not private.empty:
        guest, host = private.guest_memory_mib.iloc[0], xenfs.host_cache_mib.iloc[0]
        between = [s for s in by_size(private).index if guest < s <= 0.75 * host]
        if between:
            ours, theirs = by_size(xenfs)[between].min(), by_size(private)[between].max()
            claims.check(
                "a file larger than the guest's memory, but not than the host's cache, is read from memory with "
                "XenFS, and from the disk on a block device of the guest: at least "
                "twice as fast",
                ours > 2 * theirs, f"{ours:,.0f} against {theirs:,.0f} MiB/s",
                published="“iozone tests complete with file sizes of 2G or more (substantially more than the available RAM in the VM)”",
                source="XenFS status report, 2009", known_how="V")


def edges(centres):
    """Returns the borders of cells around values on a logarithmic axis: the geometric means of neighbours."""
    centres = numpy.asarray(centres, dtype=float)
    inner = numpy.sqrt(centres[1:] * centres[:-1])
    return numpy.concatenate([[centres[0] ** 1.5 / centres[1] ** 0.5], inner, [centres[-1] ** 1.5 / centres[-2] ** 0.5]]) \
        if len(centres) > 1 else numpy.array([centres[0] / 2 ** 0.5, centres[0] * 2 ** 0.5])


def plain(axis):
    """Makes an axis logarithmic, with numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter("{x:g}")


def draw(plt, table):
    from matplotlib.colors import LogNorm
    shown = table[table.test == SHOWN]
    arms = arms_of(shown)
    low, high = shown.throughput_kib_per_s.min() / 1024, shown.throughput_kib_per_s.max() / 1024
    # The surfaces stand two by two; the curves beside them are as high as both rows.
    rows_of = -(-len(arms) // 2)
    cells = [arms[2 * i:2 * i + 2] for i in range(rows_of)]
    figure, axes = plt.subplot_mosaic([[*row, *["."] * (2 - len(row)), "curves"] for row in cells], figsize=(11.5, 2.9 * rows_of + 0.4),
                                      gridspec_kw={"width_ratios": [1, 1, 1.3]})
    for arm in arms:
        axis = axes[arm]
        rows = shown[shown.arm == arm]
        grid = rows.pivot_table(index="record_kib", columns="size_kib", values="throughput_kib_per_s") / 1024
        edges_x, edges_y = edges(grid.columns / 1024), edges(grid.index)
        axis.grid(False)
        mesh = axis.pcolormesh(edges_x, edges_y, grid.to_numpy(), norm=LogNorm(low, high), cmap="cividis")
        for size in (rows.guest_memory_mib.iloc[0], rows.host_cache_mib.iloc[0]):
            if edges_x[0] < size < edges_x[-1]:
                axis.axvline(size, color="white", linestyle="--", linewidth=1.2)
        axis.set(xscale="log", yscale="log", title=look(arm)["label"], xlabel="file size (MiB)")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_major_formatter("{x:g}")
        if arm in arms[::2]:
            axis.set_ylabel("record size (KiB)")
        if arm not in cells[-1]:
            axis.set_xlabel(None)
    bar = figure.colorbar(mesh, ax=[axes[arm] for arm in arms], label="colour: MiB/s", location="right", pad=0.01)
    plain(bar.ax.yaxis)
    last = axes["curves"]
    for place, arm in enumerate(arms):
        speed = by_size(shown[shown.arm == arm])
        last.plot(speed.index, speed, **look(arm), **nested(place))
    for size, text in ((shown.guest_memory_mib.iloc[0], "guest"), (shown.host_cache_mib.iloc[0], "host cache")):
        last.axvline(size, color="#777777", linestyle="--", linewidth=1)
        last.annotate(text, (size, 1.0), xycoords=("data", "axes fraction"), ha="right", va="top",
                      rotation=90, fontsize=8, color="#555555")
    records = shown.record_kib.nunique()
    last.set(title="mean of two record sizes" if records == 2 else f"median of {records} record sizes", xlabel="file size (MiB)", ylabel="reread (MiB/s)", yscale="log")
    last.set_xscale("log", base=2)
    last.xaxis.set_major_formatter("{x:g}")
    last.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=8)
    plain(last.yaxis)
    return figure


def notes(table):
    return ""
