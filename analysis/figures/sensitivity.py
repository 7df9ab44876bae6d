"""A tornado plot shows how far each cost constant moves the headline, over its whole range."""
from analysis.sensitivity import number, readable

TITLE = "How far each cost constant moves the headline"
CAPTION = ("Four guests that build the same tree. Each bar is one constant of the cost model, from the low to the high end of its range, "
           "all others as they are; the ten that move the quantity most. Light: towards the low end; dark: towards the high end. "
           "Left: the XenFS builds' time against that on block devices; middle: against NFS; right: host memory for file data against that with private "
           "caches. Left of 1 XenFS is better. [M]: the constant is recalled, not read.")
COLUMNS = ("arm", "guests", "seed", "completion_s", "pages_peak", "disk_read_mib", "constant", "unit", "here", "low", "high", "known", "end", "value")
RATIOS = (("completion_s", "private", "XenFS' build time / block device's"), ("completion_s", "nfs", "XenFS' build time / NFS's"),
          ("pages_peak", "private", "XenFS' memory / private caches'"))
ARM = "xenfs-name"
SHOWN = 10


def ratios(table, column, other):
    """Returns the base ratio, and by constant {end: ratio}."""
    base, by = None, {}
    for (constant, end), rows in table.fillna({"constant": ""}).groupby(["constant", "end"]):
        value = rows.groupby("arm")[column].mean()
        if not {ARM, other} <= set(value.index):
            continue
        if constant == "":
            base = value[ARM] / value[other]
        else:
            by.setdefault(constant, {})[end] = value[ARM] / value[other]
    return base, by


def extremes(table, column, other):
    """Returns the least and the greatest ratio with any constant at an end of its range, and which constants these
    are."""
    base, by = ratios(table, column, other)
    points = [(base, "the constants as they are")] + [(r, f"{name} at its {end} end") for name, ends in by.items() for end, r in ends.items()]
    return min(points), max(points)


def check(table, claims):
    tried = table.constant.nunique()
    if not tried:
        return
    for column, other, holds, claim in (
            ("completion_s", "nfs", lambda low, high: high < 1, "XenFS' builds end before NFS's, whichever single constant is at an end of its range"),
            ("completion_s", "private", lambda low, high: high < 1.1, "XenFS' builds take at most a tenth longer than on block devices, whichever single constant is at an end"),
            ("pages_peak", "private", lambda low, high: high < 0.6, "XenFS takes less than 0.6 of the memory of private caches, whichever single constant is at an end")):
        if {ARM, other} <= set(table.arm):
            (low, where_low), (high, where_high) = extremes(table, column, other)
            claims.check(claim, holds(low, high), f"{low:.2f} ({where_low}) to {high:.2f} ({where_high}); {tried} constants tried")


def label(table, constant):
    row = table[table.constant == constant].iloc[0]
    mark = " [M]" if row.known == "M" else ""
    return f"{constant}{mark}\n{f'{number(row.low)} to {number(row.high)} {readable(row.unit)}'.rstrip()}, here {number(row.here)}"


def draw(plt, table):
    figure, axes = plt.subplots(1, 3, figsize=(15, 5.6))
    for axis, (column, other, title) in zip(axes, RATIOS):
        base, by = ratios(table, column, other)
        axis.set(xlabel=title)
        axis.grid(axis="y", visible=False)
        if base is None:
            continue
        swing = {name: max(abs(r - base) for r in ends.values()) for name, ends in by.items()}
        names = sorted((n for n in by if swing[n] > 0.0005), key=swing.get)[-SHOWN:]
        for i, name in enumerate(names):
            for end, colour in (("low", "#8fbce6"), ("high", "#0072B2")):
                if end in by[name]:
                    axis.barh(i, by[name][end] - base, left=base, color=colour, height=0.6)
        axis.set_yticks(range(len(names)), [label(table, name) for name in names], fontsize=7.5)
        axis.set_ylim(min(len(names), SHOWN) - SHOWN - 0.6, max(len(names), 1) - 0.4)
        axis.axvline(base, color="#000000", linewidth=1)
        reach = [base, *(r for n in names for r in by[n].values())]
        low, high = min(reach), max(reach)
        if low < 1 < high or abs(1 - base) < 2 * (high - low):
            axis.axvline(1, color="#D55E00", linewidth=1, linestyle="--")
            low, high = min(low, 1), max(high, 1)
        margin = max(0.06 * (high - low), 0.005)
        axis.set_xlim(low - margin, high + margin)
        axis.set_axisbelow(True)
        axis.set_title(f"here: {base:.2f}")
        if not names:
            axis.text(0.5, 0.5, "no constant that was tried\nmoves it", transform=axis.transAxes, ha="center", va="center", color="#555555")
            axis.set_xlim(base - 0.05, base + 0.05)
    for end, colour in (("low end of the range", "#8fbce6"), ("high end", "#0072B2")):
        axes[0].bar(0, 0, color=colour, label=end)
    axes[0].plot([], [], color="#D55E00", linestyle="--", linewidth=1, label="as good as the other")
    axes[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.1, -0.1), ncols=3, fontsize=8)
    return figure


def notes(table):
    return (f"{table.constant.nunique()} constants were tried, one at a time; what several do together is not shown. Constants that move a quantity by "
            "less than 0.0005 have no bar.")
