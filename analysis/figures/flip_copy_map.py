"""Shows what it costs to hand a page from the host's cache to a guest: copied, mapped or flipped."""
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.claims import signed
from analysis.style import look, nested

TITLE = "Copy, map or flip: cost per page against batch size"
CAPTION = ("CPU time, of guest and server, of reading one cached page in a guest by read() and giving it back, by pages per request, "
           "data in the processor's cache (warm) or not (cold); the request itself is included, which dominates small batches. "
           "Right: what mapping costs more (above zero) or less than copying, by the guest's vCPUs: an unmap is a TLB shootdown on each of them.")
COLUMNS = ("mode", "temperature", "batch_pages", "vcpus", "seed", "ns_per_page")
ORDER = ("copy", "map", "flip", "adaptive")


def cost(table, temperature, vcpus):
    """Returns by mode the ns a page, by batch size."""
    chosen = table[(table.temperature == temperature) & (table.vcpus == vcpus)]
    return {mode: rows.groupby("batch_pages").ns_per_page.mean() for mode, rows in chosen.groupby("mode")}


def crossover(cheaper_later, cheaper_first):
    """Returns the first batch size at which the first series is not above the second; None where it always is."""
    for batch in cheaper_later.index.intersection(cheaper_first.index):
        if cheaper_later[batch] <= cheaper_first[batch]:
            return batch
    return None


def check(table, claims):
    fewest, most = table.vcpus.min(), table.vcpus.max()
    for temperature in ("warm", "cold"):
        by_mode = cost(table, temperature, fewest)
        if not {"copy", "map", "flip"} <= by_mode.keys():
            continue
        batch = by_mode["copy"].index[-1]
        claims.check(
            f"{temperature}: with the fewest vCPUs copying a page costs less than flipping it, at every batch size",
            bool((by_mode["copy"] < by_mode["flip"]).all()),
            f"{by_mode['copy'].loc[batch]:,.0f} against {by_mode['flip'].loc[batch]:,.0f} ns a page in batches of {batch}",
            published="receive by copy instead of remap: driver domain +35 % throughput; netback stopped advertising flip in 2006",
            source="Menon et al., USENIX ATC 2006", known_how="A")
    one, many = cost(table, "cold", fewest), cost(table, "cold", most)
    if {"map", "copy"} <= one.keys() and {"map", "copy"} <= many.keys():
        more = [c["map"] - c["copy"] for c in (one, many)]
        batch = one["copy"].index[-1]
        claims.check(
            "cold: with the most vCPUs mapping loses more against copying than with the fewest, at every batch size: "
            "an unmap "
            "flushes them all",
            bool((more[1] > more[0]).all()),
            f"a page mapped costs {signed(more[0].iloc[0])} ns against a copy with {fewest} vCPU, "
            f"{signed(more[1].iloc[0])} with {most}; "
            f"in batches of {batch} {signed(more[0][batch])} and {signed(more[1][batch])}")
    for mode in ("map", "flip"):
        if mode in one:
            claims.check(
                f"cold: batching pays: one page alone costs over twice as much to {mode} as in the largest batch",
                one[mode].iloc[0] > 2 * one[mode].iloc[-1],
                f"{one[mode].iloc[0]:,.0f} ns alone, {one[mode].iloc[-1]:,.0f} ns in batches of {one[mode].index[-1]}")


def draw(plt, table):
    fewest = table.vcpus.min()
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2))
    for axis, temperature in zip(axes, ("warm", "cold")):
        by_mode = cost(table, temperature, fewest)
        for place, mode in enumerate(m for m in ORDER if m in by_mode):
            axis.plot(by_mode[mode].index, by_mode[mode] / 1000, **look(mode), **nested(place))
        axis.set(title=f"{temperature}, {fewest} vCPU", xlabel="pages per batch", ylabel="CPU time per page (µs)")
        where = crossover(by_mode["map"], by_mode["copy"]) if {"map", "copy"} <= by_mode.keys() else None
        if where is not None and where != by_mode["map"].index[0]:
            axis.axvline(where, color="#777777", linestyle="--", linewidth=1)
            axis.annotate(f"map ≤ copy from {where}", (where, 0.02), xycoords=("data", "axes fraction"),
                          ha="right", va="bottom", rotation=90, fontsize=8, color="#555555")
    last = axes[2]
    counts = sorted(table.vcpus.unique(), reverse=True)  # the legend in the curves' order
    for i, count in enumerate(counts):
        by_mode = cost(table, "cold", count)
        if {"map", "copy"} <= by_mode.keys():
            difference = (by_mode["map"] - by_mode["copy"]) / 1000
            last.plot(difference.index, difference, color=plt.cm.Blues(1 - 0.6 * i / max(len(counts) - 1, 1)),
                      marker="osv^Dx"[i % 6], label=f"{count} vCPU{'s' if count > 1 else ''}")
    last.axhline(0, color="#777777", linewidth=1)
    last.set(title="cold: map less copy, by the guest's vCPUs", xlabel="pages per batch",
             ylabel="map − copy (µs per page)")
    last.legend(frameon=False)
    for axis in axes:
        axis.set_xscale("log", base=2)
        axis.set_xticks(sorted(table.batch_pages.unique()))
        axis.xaxis.set_major_formatter("{x:g}")
    for axis in axes[:2]:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.yaxis.set_major_formatter("{x:g}")
        axis.legend(frameon=False)
    return figure


def notes(table):
    chosen = table[(table.vcpus == table.vcpus.min()) & (table.temperature == "warm")]
    warm = chosen.pivot_table(index="batch_pages", columns="mode", values="ns_per_page")
    if not {"adaptive", "copy", "map"} <= set(warm):
        return ""
    mapped = [batch for batch, row in warm.iterrows() if row["copy"] < row["map"] <= 1.01 * row["adaptive"]
              and row["adaptive"] > 1.01 * row["copy"]]
    if not mapped:
        return ""
    return (f"In batches of up to {max(mapped)} page{'s' if max(mapped) > 1 else ''} adaptive maps, which costs more "
            "here. "
            "It takes one page in twenty of a file that it does not know to be used again, which would save a whole "
            "request; here every page is given back at once. In larger batches that weighs less, and it copies.")
