"""Shows host pages that hold file data, by the number of guests that build the same tree."""
from analysis.style import look, nested, ticks

TITLE = "Host memory for file data, by number of guests"
CAPTION = ("Each guest builds Linux 6.1 from one source tree and toolchain. Left: all guests build the same "
           "configuration; right: guests alternate between two configurations. Peak over the run of the host's "
           "frames that hold file data, wherever they are (guests' page caches, the server's, the shared cache).")
COLUMNS = ("part", "guests", "arm", "config", "seed", "pages_peak", "pages_end", "unique_pages")
ORDER = ("private", "nfs", "xenfs-name", "xenfs-content", "oracle")
PAGES_PER_MIB = 256


def peaks(table, config, outputs=False):
    """Returns by arm (guests, pages at the peak), as means over seeds. `outputs`: of the runs for the builds' outputs,
    if any."""
    extra = table.part == "outputs"
    chosen = table[(table.config == config) & (extra if outputs and extra.any() else ~extra)]
    return {arm: rows.groupby("guests").pages_peak.mean() for arm, rows in chosen.groupby("arm")}


def mib(pages):
    return f"{pages / PAGES_PER_MIB:,.0f}"


def growth(series):
    """Returns the pages that each further guest costs, between the fewest and the most guests."""
    return (series.iloc[-1] - series.iloc[0]) / (series.index[-1] - series.index[0])


def check(table, claims):
    for config, other in (("same", "of the same configuration"), ("different", "of two configurations")):
        by_arm = peaks(table, config)
        if not {"private", "nfs", "xenfs-name", "xenfs-content", "oracle"} <= by_arm.keys():
            continue
        few, many = by_arm["private"].index[0], by_arm["private"].index[-1]
        private, name = growth(by_arm["private"]), growth(by_arm["xenfs-name"])
        claims.check(
            f"builds {other}: with private caches, memory grows in proportion to guests, within a tenth",
            abs(by_arm["private"].loc[many] / by_arm["private"].loc[few] / (many / few) - 1) < 0.1,
            f"{many} guests hold {by_arm['private'].loc[many] / by_arm['private'].loc[few]:.1f} times what {few} holds")
        claims.check(
            f"builds {other}: by name, a further guest costs less than half of what it costs with private caches",
            name < 0.5 * private,
            f"{name / PAGES_PER_MIB:,.1f} MiB a guest against {private / PAGES_PER_MIB:,.1f}",
            published="“If multiple guests access the same data, it'd take up no more memory than if one guest is using it”",
            source="XenFS status report, 2009", known_how="V")
        content = by_arm["xenfs-content"]
        claims.check(
            f"builds {other}: sharing by content never takes more than sharing by name, within 0.1 %",
            bool((content <= by_arm["xenfs-name"] * 1.001).all()),
            f"{mib(content.loc[many])} against {mib(by_arm['xenfs-name'].loc[many])} MiB with {many} guests")
        claims.check(
            f"builds {other}: with the most guests NFS takes at least as much as private caches (the server caches a "
            "second time)",
            by_arm["nfs"].loc[many] >= by_arm["private"].loc[many],
            f"{mib(by_arm['nfs'].loc[many])} against {mib(by_arm['private'].loc[many])} MiB with {many} guests")
    # The comparison is at two guests, since with more the alternating builds hold pairs of equal configurations too.
    saved = {}
    for config in ("same", "different"):
        by_arm = peaks(table, config, outputs=True)
        if {"xenfs-name", "xenfs-content"} <= by_arm.keys() and 2 in by_arm["xenfs-name"].index:
            gain = by_arm["xenfs-name"] - by_arm["xenfs-content"]
            saved[config] = gain.loc[2] - gain.get(1, 0)
    if len(saved) == 2:
        claims.check(
            "sharing by content saves more over sharing by name for the second of two builds when it is of the same configuration",
            saved["same"] > saved["different"],
            f"{saved['same'] / PAGES_PER_MIB:,.1f} MiB saved with the same configuration, "
            f"{saved['different'] / PAGES_PER_MIB:,.1f} with another",
            published="same configuration: 98.9 % of the second build's output pages exist in the first; another: 16.8 %",
            source="this project's captures of builds (workloads/captures)", known_how="H")


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    for axis, config, title in zip(axes, ("same", "different"),
                                   ("same configuration", "two configurations, alternating")):
        by_arm = peaks(table, config)
        for place, arm in enumerate(a for a in ORDER if a in by_arm):
            pages = by_arm[arm]
            axis.plot(pages.index, pages / PAGES_PER_MIB, **look(arm), **nested(place))
        axis.set(title=title, xlabel="guests")
        ticks(axis, table[table.config == config].guests)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("peak file data on the host (MiB)")
    axes[0].legend(frameon=False)
    return figure


def notes(table):
    return ""
