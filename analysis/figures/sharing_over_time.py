"""Shows pages shared and saved while two guests build at the same time."""
from analysis.style import look, nested, sparse

TITLE = "Sharing over time in two simultaneous builds"
CAPTION = ("Two guests start the same build together. Total: host frames with file data. Shared: frames that both guests use. "
           "Saved: uses beyond the first, the frames that private caches would have needed besides.")
COLUMNS = ("arm", "time_s", "seed", "pages_total", "pages_shared", "pages_saved")
ORDER = ("private", "nfs", "xenfs-name", "xenfs-content")
PAGES_PER_MIB = 256


def check(table, claims):
    last = {arm: rows.sort_values("time_s").iloc[-1] for arm, rows in table.groupby("arm")}
    peak = {arm: rows.pages_saved.max() for arm, rows in table.groupby("arm")}
    if "xenfs-name" in peak:
        rows = table[table.arm == "xenfs-name"].sort_values("time_s")
        half = rows[rows.pages_saved >= 0.5 * peak["xenfs-name"]].time_s.iloc[0]
        claims.check("sharing by name is there as soon as the second guest touches a page: half of it in the first third of the run",
                     peak["xenfs-name"] > 0 and half < rows.time_s.iloc[-1] / 3,
                     f"half of the peak of {peak['xenfs-name'] / PAGES_PER_MIB:,.1f} MiB after {half:.1f} of "
                     f"{rows.time_s.iloc[-1]:.1f} s",
                     published="found at I/O time, short-lived sharing is caught (94 % of what there is)",
                     source="Satori, USENIX ATC 2009", known_how="A")
    if {"xenfs-name", "xenfs-content"} <= peak.keys():
        claims.check("in the end, sharing by content saves at least as much as by name",
                     last["xenfs-content"].pages_saved >= last["xenfs-name"].pages_saved,
                     f"{last['xenfs-content'].pages_saved / PAGES_PER_MIB:,.1f} against "
                     f"{last['xenfs-name'].pages_saved / PAGES_PER_MIB:,.1f} MiB")


def draw(plt, table):
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.9), sharex=True)
    panels = (("pages_total", "file data on the host (MiB)"), ("pages_shared", "shared frames (MiB)"),
              ("pages_saved", "saved (MiB)"))
    present = set(table.arm)
    for axis, (column, label) in zip(axes, panels):
        for place, arm in enumerate(a for a in ORDER if a in present):
            rows = table[table.arm == arm].groupby("time_s")[column].mean()
            axis.plot(rows.index, rows / PAGES_PER_MIB, **look(arm), **nested(place), **sparse(place))
        axis.set(xlabel="time since the start (s)", ylabel=label)
        axis.set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    return figure


def notes(table):
    peak = table.groupby("arm").pages_shared.max()
    none = [look(arm)["label"] for arm in ORDER if peak.get(arm, 1) == 0]
    if not none:
        return ""
    return (f"{'; '.join(none)}: no frame is shared, the curve lies at 0. Each guest's page cache holds frames of "
            "its own, and "
            "those of a server in dom0 are its alone.")
