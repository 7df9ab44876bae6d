"""All figures look alike: an arm has the same colour, marker, line and name everywhere."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# The palette is Okabe and Ito's, distinct for colour-blind readers. In grey some of its colours are one shade, so that
# curves differ by marker and by line too; within a table each marker stands once.
LINES = {"o": "-", "s": "--", "^": "-.", "v": (0, (6, 1.5, 1, 1.5, 1, 1.5)), "D": (0, (1, 1)), "d": (0, (1, 1)),
         "x": (0, (3, 3)), "*": ":", ".": ":"}
ARMS = {
    "private": ("block device per guest", "#D55E00", "o"),
    "cluster": ("cluster file system, shared disk", "#56B4E9", "d"),
    "nfs": ("NFS over the virtual network", "#E69F00", "s"),
    "xenfs-none": ("XenFS, no sharing", "#999999", "x"),
    "xenfs-name": ("XenFS, shared by name", "#0072B2", "^"),
    "xenfs-content": ("XenFS, shared by content", "#009E73", "v"),
    "oracle": ("oracle: distinct contents", "#000000", "*"),
}
TRANSFERS = {
    "copy": ("copy", "#D55E00", "o"),
    "map": ("map", "#0072B2", "^"),
    "flip": ("flip", "#CC79A7", "s"),
    "adaptive": ("adaptive", "#009E73", "D"),
    "map_once": ("map for one use", "#56B4E9", "v"),
    "map_window": ("map by window", "#E69F00", "x"),
}
EVICTIONS = {
    "lru": ("LRU", "#D55E00", "o"),
    "clock": ("CLOCK", "#E69F00", "s"),
    "arc": ("ARC", "#0072B2", "^"),
    "s3fifo": ("S3-FIFO", "#009E73", "v"),
    "sieve": ("SIEVE", "#CC79A7", "D"),
}
REMOTE = {
    "9p-none": ("9p, no cache", "#999999", "x"),
    "virtiofs-none": ("virtiofs, no cache", "#D55E00", "o"),
    "virtiofs-auto": ("virtiofs, auto", "#E69F00", "s"),
    "virtiofs-dax": ("virtiofs, auto + DAX", "#0072B2", "^"),
}
GRANTS = {
    "map": ("mapped for each request", "#D55E00", "o"),
    "copy": ("copied by hypercall", "#E69F00", "s"),
    "persistent": ("persistent", "#0072B2", "^"),
}
PACKETS = {
    "flip": ("flip: the page changes owner", "#CC79A7", "s"),
    "copy": ("copy by hypercall", "#D55E00", "o"),
    "map": ("map and unmap", "#E69F00", "v"),
    "reuse": ("grants and mappings reused", "#0072B2", "^"),
}
SHARING = {
    "ksm": ("KSM", "#D55E00", "o"),
    "esx": ("ESX: random, hashes kept", "#E69F00", "s"),
    "xlh": ("XLH: hints from I/O", "#0072B2", "^"),
    "satori": ("Satori: at I/O time", "#009E73", "v"),
    "oracle": ("oracle: all that is equal", "#000000", "*"),
}
FALLBACK = ("#56B4E9", "#F0E442", "#CC79A7", "#999999")


# These are Student's t at 97.5 %, by number of values.
T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def over_seeds(rows, by, value):
    """Returns by `by` the mean over seeds, and half the 95 % interval of the mean (0 with one seed): columns mean,
    half."""
    each = rows.groupby([by, "seed"])[value].mean().groupby(level=0)
    out = each.agg(["mean", "std", "count"])
    half = out["std"] / out["count"] ** 0.5 * out["count"].map(T)
    return out[["mean"]].assign(half=half.fillna(0))


def curve(axis, stats, scale=1, **style):
    """Draws a line of means, with its interval as a band where there is one."""
    line, = axis.plot(stats.index, stats["mean"] * scale, **style)
    if (stats.half > 0).any():
        axis.fill_between(stats.index, (stats["mean"] - stats.half) * scale, (stats["mean"] + stats.half) * scale,
                          color=line.get_color(), alpha=0.25, linewidth=0)
    return line


def whisker(axis, x, y, half):
    """Draws the interval on a bar or a point, where there is one."""
    if half > 0:
        axis.errorbar([x], [y], yerr=[half], color="#000000", linewidth=1, capsize=2.5)


def look(name, table=None):
    """Returns keyword arguments for plot(): label, colour, marker and line of an arm or a transfer mode."""
    known = {**ARMS, **TRANSFERS} if table is None else table
    if name in known:
        label, colour, marker = known[name]
    else:
        label, colour, marker = name, FALLBACK[sum(map(ord, name)) % len(FALLBACK)], "."
    return {"label": label, "color": colour, "marker": marker, "linestyle": LINES[marker]}


def sparse(place):
    """Returns what keeps markers apart on a curve of many points; `place` is the curve's number in its panel."""
    return {"markevery": (0.02 + 0.03 * place, 0.16)}


def nested(place):
    """Returns widths by which the first curves of a panel show at the edges of later ones that lie on them."""
    return {"linewidth": max(3.4 - 0.7 * place, 1.3), "markersize": max(8.5 - 1.4 * place, 4)}


def apply():
    """Sets matplotlib's defaults; fixed metadata so that equal data give equal files."""
    plt.rcParams.update({
        "figure.dpi": 110, "savefig.dpi": 160, "savefig.bbox": "tight",
        "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10, "legend.fontsize": 8.5,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "grid.color": "#dddddd", "grid.linewidth": 0.6, "lines.linewidth": 1.6,
        "lines.markersize": 5, "figure.constrained_layout.use": True, "svg.hashsalt": "xenfs-lab",
        "pdf.fonttype": 42,
    })
    return plt


def ticks(axis, values):
    """Puts a tick at each value; those too close to the next for their labels go without one."""
    values = sorted(set(values))
    apart = (values[-1] - values[0]) / 24
    shown = [v for i, v in enumerate(values) if i == len(values) - 1 or values[i + 1] - v >= apart]
    axis.set_xticks(values, [f"{v:g}" if v in shown else "" for v in values])


def save(figure, directory, name):
    """Writes NAME.png and NAME.pdf without dates, so that a rerun gives the same bytes."""
    figure.savefig(directory / f"{name}.png", metadata={"Software": "XenFS Lab"})
    figure.savefig(directory / f"{name}.pdf", metadata={"CreationDate": None, "Creator": "XenFS Lab"})
    plt.close(figure)
