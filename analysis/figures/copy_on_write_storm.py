"""Shows a copy-on-write storm: Satori's repayment FIFOs beside memory that was given away."""
from analysis.style import LINES, nested, sparse

TITLE = "A copy-on-write storm, with and without repayment"
CAPTION = ("Four guests hold a base image of 32 MiB each; what sharing it saves is given out again; at 30 s all of them write to all of it. "
           "“KSM, saved memory given away”: for good. “Satori, kept free”: none is given out. “Satori, repayment "
           "FIFOs”: it is given "
           "out until the pages are written. Left: memory saved, thick, and given out, thin and hollow. Right: "
           "machine memory in use beyond what there is, which the host would have "
           "to swap. With repayment, guests use what they were given for pages that they list as volatile, and the machine page for each "
           "copy is taken from such a list at once.")
COLUMNS = ("arm", "time_s", "seed", "saved_pages", "given_pages", "overcommitted_pages", "overcommitted_peak_pages", "breaks")
LOOKS = {"ksm-spend": ("KSM, saved memory given away", "#D55E00", "o"), "satori-keep": ("Satori, kept free", "#777777", "s"),
         "satori-repay": ("Satori, repayment FIFOs", "#009E73", "v")}
PAGES_PER_MIB = 256


def check(table, claims):
    by = dict(list(table.groupby("arm")))
    if "satori-repay" in by:
        rows = by["satori-repay"]
        claims.check("with repayment FIFOs a storm never overcommits the host, though over 95 % of what was saved "
                     "had been given out",
                     rows.overcommitted_peak_pages.max() == 0 and rows.given_pages.max() > 0.95 * rows.saved_pages.max()
                     and rows.given_pages.max() > 0,
                     f"{rows.overcommitted_peak_pages.max() / PAGES_PER_MIB:,.0f} MiB beyond at any instant; "
                     f"{rows.given_pages.max() / PAGES_PER_MIB:,.0f} of "
                     f"{rows.saved_pages.max() / PAGES_PER_MIB:,.0f} MiB were given",
                     published="isolation holds in a copy-on-write storm", source="Satori, USENIX ATC 2009", known_how="A")
    if "ksm-spend" in by:
        rows = by["ksm-spend"]
        claims.check("where saved memory was given away for good, the host is short of over 95 % of it after the storm",
                     rows.overcommitted_peak_pages.max() > 0.95 * rows.given_pages.max() > 0,
                     f"short of {rows.overcommitted_peak_pages.max() / PAGES_PER_MIB:,.0f} MiB")


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(9.8, 4.0), sharex=True)
    for place, (arm, (label, colour, marker)) in enumerate(LOOKS.items()):
        rows = table[table.arm == arm].groupby("time_s")[["saved_pages", "given_pages", "overcommitted_pages"]].mean() / PAGES_PER_MIB
        if not len(rows):
            continue
        style = {"color": colour, "marker": marker, "linestyle": LINES[marker], **sparse(place)}
        axes[0].plot(rows.index, rows.saved_pages, **style, **nested(place))
        axes[0].plot(rows.index, rows.given_pages, **{**style, "markerfacecolor": "white"}, linewidth=1)
        axes[1].plot(rows.index, rows.overcommitted_pages, label=label, **style, **nested(place))
    for axis, label in zip(axes, ("saved; given out: thin, hollow (MiB)", "memory in use beyond the host's (MiB)")):
        axis.axvline(30, color="#000000", linewidth=0.8, linestyle=":")
        axis.set(xlabel="time since the start (s)", ylabel=label)
        axis.set_ylim(-3, axis.get_ylim()[1] * 1.15)
    axes[1].legend(frameon=False, loc="upper center", bbox_to_anchor=(-0.1, -0.16), ncols=3, handlelength=3)
    axes[1].text(30.8, axes[1].get_ylim()[1] * 0.93, "the storm", fontsize=8)
    return figure


def notes(table):
    return "Pages given out are counted, not filled: what a guest would gain from a larger page cache is not part of this figure."
