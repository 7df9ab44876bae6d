"""A tornado plot shows how far each cost constant moves the headline, over its whole range."""
from analysis.sensitivity import number, readable

TITLE = "How far each cost constant moves the headline"
CAPTION = ("Four guests that build the same tree. Each bar is one constant of the cost model, from the low to the high end of its range, "
           "all others as they are; the ten that move the quantity most. Light: towards the low end; dark: towards the high end. "
           "Left: the XenFS builds' time against that on block devices; middle: against NFS; right: host memory for file data against that with private "
           "caches. Black: with the constants as they are. Left of 1 XenFS is better. [M]: the constant is recalled, "
           "not read.")
COLUMNS = ("arm", "guests", "seed", "completion_s", "pages_peak", "disk_read_mib", "constant", "unit", "here", "low", "high", "known", "end", "value")
RATIOS = (("completion_s", "private", "XenFS's build time / block device's"), ("completion_s", "nfs", "XenFS's build time / NFS's"),
          ("pages_peak", "private", "XenFS's memory / private caches'"))
ARM = "xenfs-name"
SHOWN = 10
MOVES = 0.0005  # less than that is no move: three digits are shown


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


def moved(table, column, other):
    """Returns the constants that move the ratio most, the least of them first."""
    base, by = ratios(table, column, other)
    swing = {name: max(abs(ratio - base) for ratio in ends.values()) for name, ends in by.items()}
    return sorted((name for name in by if swing[name] > MOVES), key=swing.get)[-SHOWN:]


def extremes(table, column, other):
    """Returns the least and the greatest ratio with any constant at an end of its range, and which constants these
    are."""
    base, by = ratios(table, column, other)
    points = [(base, "the constants as they are")]
    points += [(ratio, f"{name} at its {end} end") for name, ends in by.items() for end, ratio in ends.items()
               if abs(ratio - base) > MOVES]
    return min(points), max(points)


def check(table, claims):
    tried = table.constant.nunique()
    if not tried:
        return
    for column, other, holds, claim in (
            ("completion_s", "nfs", lambda low, high: high < 1, "XenFS's builds end before NFS's, whichever single "
                                                                "constant is at an end of its range"),
            ("completion_s", "private", lambda low, high: high < 1.1, "XenFS's builds take at most a tenth longer "
                                                                      "than on block devices, whichever single "
                                                                      "constant is at an end"),
            ("pages_peak", "private", lambda low, high: high < 0.6, "XenFS takes less than 0.6 of the memory of private caches, whichever single constant is at an end")):
        if {ARM, other} <= set(table.arm):
            (low, where_low), (high, where_high) = extremes(table, column, other)
            claims.check(claim, holds(low, high), f"{low:.3f} ({where_low}) to {high:.3f} ({where_high}); "
                         f"{tried} constant{'s' if tried > 1 else ''} tried")


def label(table, constant):
    row = table[table.constant == constant].iloc[0]
    mark = " [M]" if row.known == "M" else ""
    return f"{constant}{mark}\n{f'{number(row.low)} to {number(row.high)} {readable(row.unit)}'.rstrip()}, here {number(row.here)}"


def draw(plt, table):
    bars = max([len(moved(table, column, other)) for column, other, _ in RATIOS] + [2])
    figure, axes = plt.subplots(1, 3, figsize=(12, 1.5 + 0.44 * bars))
    for axis, (column, other, title) in zip(axes, RATIOS):
        base, by = ratios(table, column, other)
        axis.set(xlabel=title)
        axis.grid(axis="y", visible=False)
        if base is None:
            continue
        names = moved(table, column, other)
        for i, name in enumerate(names):
            for end, colour in (("low", "#8fbce6"), ("high", "#0072B2")):
                if end in by[name]:
                    axis.barh(i, by[name][end] - base, left=base, color=colour, height=0.6)
        axis.set_yticks(range(len(names)), [label(table, name) for name in names], fontsize=8.5)
        axis.set_ylim(len(names) - bars - 0.6, len(names) - 0.4)
        axis.axvline(base, color="#000000", linewidth=1)
        reach = [base, *(r for n in names for r in by[n].values())]
        low, high = min(reach), max(reach)
        if low < 1 < high or abs(1 - base) < 2 * (high - low):
            axis.axvline(1, color="#D55E00", linewidth=1, linestyle="--")
            low, high = min(low, 1), max(high, 1)
        margin = max(0.06 * (high - low), 0.005)
        axis.set_xlim(low - margin, high + margin)
        axis.set_axisbelow(True)
        axis.set_title(f"constants as they are: {base:.3f}", fontsize=10)
        axis.locator_params(axis="x", nbins=3)
        if not names:
            axis.text(0.5, 0.5, "no constant that was tried\nmoves it", transform=axis.transAxes, ha="center", va="center", color="#555555")
            axis.set_xlim(base - 0.05, base + 0.05)
    for end, colour in (("low end of the range", "#8fbce6"), ("high end", "#0072B2")):
        axes[0].bar(0, 0, color=colour, label=end)
    axes[0].plot([], [], color="#D55E00", linestyle="--", linewidth=1, label="as good as the other")
    axes[0].legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.6, -0.62 / figure.get_figheight() - 0.08), ncols=3, fontsize=8.5)
    return figure


def notes(table):
    tried = table.constant.nunique()
    return (f"{tried} constant{'s were' if tried > 1 else ' was'} tried, one at a time; what several do together is "
            "not shown. "
            f"Constants that move a quantity by less than {MOVES} have no bar.")
