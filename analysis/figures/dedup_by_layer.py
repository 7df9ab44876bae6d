"""Shows the ways to find equal pages, under guests' private caches and in the shared cache, on one trace."""
from analysis.style import LINES, curve, over_seeds, sparse

TITLE = "Where equal pages are found: under private caches, or in the shared cache"
CAPTION = ("Two guests build at the same time, from the same recordings in all runs. Left: each has a page cache of its own over a block device, and the hypervisor "
           "merges equal pages: by a walk (KSM), a walk that pages from I/O go before (XLH), or when the device reads them (Satori). Middle: one shared cache, "
           "with the same three ways in it, and by name: one frame for each page of a file. Both: the host's frames with file data, merged ones once; dotted: the distinct contents "
           "among the pages of the same kind of cache without sharing. Scanners look at 10 000 pages a second. "
           "Right: the mean over "
           "the build, as a share of what the same kind of cache holds without sharing.")
COLUMNS = ("layer", "policy", "config", "seed", "time_s", "pages", "unique_pages", "completion_s", "asked_pages")
# Each way has a name, a colour and marker, and the policy of either layer that works so.
WAYS = {"none": ("none", "#777777", "x", {"private": "none", "shared": "none"}),
        "walk": ("by a walk", "#D55E00", "o", {"private": "ksm", "shared": "scan"}),
        "hints": ("a walk with hints from I/O", "#E69F00", "s", {"private": "xlh", "shared": "hinted"}),
        "io": ("by content, at I/O time", "#009E73", "v", {"private": "satori", "shared": "content"}),
        "name": ("by name", "#0072B2", "^", {"shared": "name"})}
LAYERS = {"private": "private caches", "shared": "shared cache"}
PAGES_PER_MIB = 256


def mean_pages(table, config):
    """Returns by (layer, policy) the frames with file data, as the mean over the build."""
    return table[table.config == config].groupby(["layer", "policy"]).pages.mean()


def check(table, claims):
    for config, builds in (("same", "equal builds"), ("different", "builds of two configurations")):
        held = mean_pages(table, config)
        if not {(layer, p) for *_, by in WAYS.values() for layer, p in by.items()} <= set(held.index):
            continue
        private, shared = held["private"], held["shared"]
        mib = {key: pages / PAGES_PER_MIB for key, pages in held.items()}
        claims.check(f"{builds}: by name the shared cache holds at most a twentieth more than by content, without looking at a page",
                     shared["name"] <= 1.05 * shared["content"], f"{mib['shared', 'name']:.1f} against {mib['shared', 'content']:.1f} MiB in the mean")
        claims.check(f"{builds}: private caches under a scanner, with hints or without, hold more than the shared cache by name",
                     min(private["ksm"], private["xlh"]) > shared["name"],
                     f"{mib['private', 'ksm']:.1f} and, with hints, {mib['private', 'xlh']:.1f} against {mib['shared', 'name']:.1f} MiB in the mean")
        claims.check(f"{builds}: found at I/O time, equal pages of private caches cost within a tenth of what the shared cache by content takes",
                     abs(private["satori"] / shared["content"] - 1) < 0.1, f"{mib['private', 'satori']:.1f} against {mib['shared', 'content']:.1f} MiB in the mean",
                     published="94 % of the sharing that there is", source="Satori, USENIX ATC 2009", known_how="A")
        claims.check(f"{builds}: hints find more than the walk at the same rate, in either place",
                     private["xlh"] < private["ksm"] and shared["hinted"] < shared["scan"],
                     f"private caches {mib['private', 'xlh']:.1f} against {mib['private', 'ksm']:.1f} MiB, shared cache {mib['shared', 'hinted']:.1f} against {mib['shared', 'scan']:.1f}")
        saved = {layer: held[layer, "none"] - held[layer, policy] for layer, policy in WAYS["walk"][-1].items()}
        asked = table[(table.config == config) & (table.layer == "shared") & (table.policy == "scan")].asked_pages.mean()
        claims.check(f"{builds}: a walk of the shared cache saves less than half of what one of private caches does, since a page that a guest has mapped must be given back first",
                     saved["shared"] < 0.5 * saved["private"],
                     f"{saved['shared'] / PAGES_PER_MIB:.1f} against {saved['private'] / PAGES_PER_MIB:.1f} MiB in the mean; {asked:,.0f} pages were asked back")


def draw(plt, table):
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), gridspec_kw={"width_ratios": [1, 1, 0.95]})
    same = table[table.config == "same"]
    for axis, (layer, title) in zip(axes, LAYERS.items()):
        for place, (label, colour, marker, by) in enumerate(WAYS.values()):
            if layer in by:
                rows = same[(same.layer == layer) & (same.policy == by[layer])]
                curve(axis, over_seeds(rows, "time_s", "pages"), 1 / PAGES_PER_MIB, color=colour, label=label, marker=marker,
                      linestyle=LINES[marker], **sparse(place))
        distinct = same[(same.layer == layer) & (same.policy == "none")].groupby("time_s").unique_pages.mean()
        axis.plot(distinct.index, distinct / PAGES_PER_MIB, color="#000000", linestyle=":", linewidth=2, label="distinct contents")
        axis.set(title=title, xlabel="time since the start (s)", ylabel="file data on the host (MiB)" if layer == "private" else None)
        axis.set_ylim(0, 1.35 * same.pages.max() / PAGES_PER_MIB)
    axes[1].legend(frameon=False, loc="upper left", ncols=2)
    place, ticks, both = 0, [], (table.config == "different").any()
    for layer, title in LAYERS.items():
        for label, colour, _, by in WAYS.values():
            if layer not in by:
                continue
            for config, shift, look in (("same", 0, {"color": colour}), ("different", 0.36, {"facecolor": "white", "edgecolor": colour, "linewidth": 1.4})):
                held = mean_pages(table, config)
                if (layer, by[layer]) not in held.index:
                    continue
                share = 100 * held[layer, by[layer]] / held[layer, "none"]
                axes[2].barh(place - shift if both else place, share, 0.34 if both else 0.66, **look)
                axes[2].text(share + 1, place - shift if both else place, f"{share:.0f}", va="center", fontsize=7.5)
            ticks.append((place, label))
            place -= 1
        axes[2].text(112, place + len([1 for *_, by in WAYS.values() if layer in by]) / 2 + 0.5, title, rotation=270, va="center", ha="left", fontsize=9)
        place -= 0.6
    axes[2].set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=8.5)
    axes[2].set(xlabel="of what it is without sharing (%)", xlim=(0, 120), title="mean over the build")
    axes[2].set_xticks(range(0, 101, 20))
    axes[2].grid(axis="y", visible=False)
    axes[2].set_axisbelow(True)
    return figure


def notes(table):
    hollow = "Hollow bars: the two guests build different configurations. " if (table.config == "different").any() else ""
    return (hollow + "A hypervisor sees no names, so that “by name” is for a shared cache alone. In the shared cache "
                     "a scanner can move a page only after the guests that have "
            "it mapped have given it back: at most eight requests to a guest are under way at a time, and program text that runs is not given back. Under private "
            "caches pages are merged below the guests, who notice nothing but the copy when they write.")
