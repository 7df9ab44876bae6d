"""Shows what unmapping costs a host with many back ends: grants mapped for each request, kept, or copied."""
from analysis.claims import signed
from analysis.style import GRANTS, look, nested

TITLE = "Grants of the block path, over 1 to 10 guests"
CAPTION = ("4 KiB random reads past the guests' caches, 32 under way in each guest, from a RAM disk in a dom0 of 24 vCPUs: IOPS of all guests together. "
           "An unmap flushes the TLBs of the vCPUs at work, one flush at a time on the whole host. "
           "Fitted: a flush's cost, in the cost model's own ratio of fixed part to part for each vCPU, to the published 650 k IOPS with 5 guests. "
           "Predicted: all other points. Right: how long an operation's back end waits for the others' flushes.")
COLUMNS = ("grants", "guests", "seed", "iops", "flush_wait_us")
SOURCE = "Xen project, measurements for persistent grants, 2012"
PUBLISHED = {5: 650_000, 10: 400_000}


def curves(table, column="iops"):
    return {grants: rows.groupby("guests")[column].mean() for grants, rows in table.groupby("grants")}


def check(table, claims):
    by = curves(table)
    if not {"map", "persistent"} <= by.keys() or not {5, 10} <= set(by["map"].index):
        return
    mapped, kept = by["map"], by["persistent"]
    claims.check("fitted: mapped for each request, 5 guests; within 10 %", abs(mapped[5] / 650e3 - 1) < 0.1,
                 f"{mapped[5] / 1000:,.0f} k IOPS", published="650 k IOPS", source=SOURCE, known_how="V")
    claims.check("predicted: with 10 guests the host does less than with 5; within 15 %",
                 mapped[10] < mapped[5] and abs(mapped[10] / 400e3 - 1) < 0.15,
                 f"{mapped[10] / 1000:,.0f} k IOPS ({signed(100 * (mapped[10] / 400e3 - 1))} %)", published="400 k IOPS", source=SOURCE, known_how="V")
    claims.check("persistent grants go on rising to 10 guests, which do over 1.5 times what 5 do",
                 bool(kept.is_monotonic_increasing) and kept[10] > 1.5 * kept[5],
                 f"{kept[5] / 1000:,.0f} k with 5, {kept[10] / 1000:,.0f} k with 10")
    peak = mapped.idxmax()
    claims.check("the most that mapping for each request reaches is reached with 4 to 6 guests", 4 <= peak <= 6,
                 f"{mapped.max() / 1000:,.0f} k IOPS with {peak}", published="the peak is at 5", source=SOURCE, known_how="V")


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), gridspec_kw={"width_ratios": [1.4, 1]})
    by = curves(table)
    for place, grants in enumerate(g for g in GRANTS if g in by):
        axes[0].plot(by[grants].index, by[grants] / 1000, **look(grants, GRANTS), **nested(place + 1))
    axes[0].plot(list(PUBLISHED), [v / 1000 for v in PUBLISHED.values()], linestyle="none", marker="o", markersize=10,
                 markerfacecolor="none", markeredgecolor="black", label="mapped, published [V]")
    axes[0].set(xlabel="guests", ylabel="thousand IOPS, all guests")
    axes[0].legend(frameon=False)
    waits = curves(table, "flush_wait_us")
    if "map" in waits:
        axes[1].plot(waits["map"].index, waits["map"], **look("map", GRANTS))
    axes[1].set(xlabel="guests", ylabel="wait for others' TLB flushes (µs per operation)")
    for axis in axes:
        axis.set_ylim(bottom=0)
        axis.set_xticks(sorted(table.guests.unique()))
    return figure


def slower(by):
    """Says where persistent grants do less than the other ways."""
    if not set(GRANTS) <= by.keys():
        return ""
    kept, mapped, copied = by["persistent"], by["map"], by["copy"]
    text = []
    if bool((kept < copied).all()):
        text.append("do less than copying with any number of guests")
    if less := [guests for guests in kept.index if kept[guests] < mapped[guests]]:
        text.append(f"less than mapping with up to {max(less)}")
    if not text:
        return ""
    return (f"Persistent grants {', and '.join(text)}: the guest's one vCPU, which is what limits it here, copies "
            "each page between "
            "the granted page and its own. A copy by hypercall is dom0's work, as unmapping is, which is cheap while "
            "few guests' flushes "
            "meet. ")


def notes(table):
    return (slower(curves(table)) + "The published curve is known at 5 and at 10 guests only. Requests of one page; "
                                    "eleven pages a request, or more with indirect "
            "descriptors, share one flush (arm.block_segments).")
