"""Shows what it costs the shared cache's eviction that guests hold pages of it."""
from analysis.claims import signed
from analysis.style import EVICTIONS, curve, look, nested, over_seeds

TITLE = "Eviction from the shared cache under guests' pins"
CAPTION = ("What is read from the disk, and the time, against the mappings that guests may keep, as a share of the cache; a mapped page is pinned, and its hits "
           "are not seen by the cache. At 0 each use maps and unmaps. Above: reads by a zipf distribution in one guest, the cache holding a quarter "
           "of the file. Below: four kernel builds, the cache too small for them.")
COLUMNS = ("part", "eviction", "pins_percent", "seed", "disk_read_mib", "seconds")
PARTS = {"zipf": "zipf", "build": "four kernel builds"}


def means(table, part, column):
    """Returns the table of pins by policy."""
    return table[table.part == part].groupby(["pins_percent", "eviction"])[column].mean().unstack()


def per_policy(changes):
    return ", ".join(f"{look(p, EVICTIONS)['label']} {signed(change)} %" for p, change in changes.items())


def check(table, claims):
    for part, name in PARTS.items():
        if part not in set(table.part):
            continue
        reads, seconds = means(table, part, "disk_read_mib"), means(table, part, "seconds")
        if len(reads) < 2:
            continue
        none, full = reads.iloc[0], reads.iloc[-1]
        change = 100 * (full / none - 1)
        claims.check(f"{name}: no policy reads over 10 % more from the disk with mappings for the whole cache than without any", bool((change < 10).all()),
                     per_policy(change))
        if part == "zipf":
            claims.check("zipf: pins take from the policies at least half of what sets them apart: hits on mapped "
                         "pages are the guest's, which "
                         "goes by LRU",
                         bool(full.max() / full.min() < 1 + 0.5 * (none.max() / none.min() - 1)),
                         f"the worst policy reads {none.max() / none.min():.2f} times what the best does without pins, {full.max() / full.min():.2f} times with all of them")
            faster = 100 * (seconds.iloc[-1] / seconds.iloc[0] - 1)
            claims.check("zipf: mappings that are kept are worth their pins: less time than mapping for each use, under every policy", bool((faster < 0).all()),
                         per_policy(faster))
        else:
            slower = 100 * (seconds.iloc[-1] / seconds.iloc[0] - 1)
            claims.check(f"{name}: with mappings for the whole cache they take at most 5 % longer than without any", bool((slower < 5).all()), per_policy(slower))


def draw(plt, table):
    parts = [p for p in PARTS if p in set(table.part)]
    figure, axes = plt.subplots(len(parts), 2, figsize=(10, 3.4 * len(parts)), squeeze=False)
    for row, part in zip(axes, parts):
        for axis, column, label in ((row[0], "disk_read_mib", "read from the disk (MiB)"), (row[1], "seconds", "time (s)")):
            rows = table[table.part == part]
            for place, policy in enumerate(p for p in EVICTIONS if p in set(rows.eviction)):
                curve(axis, over_seeds(rows[rows.eviction == policy], "pins_percent", column), **look(policy, EVICTIONS),
                      **nested(place))
            axis.set(title=PARTS[part], xlabel="mappings that guests may keep (% of the cache)", ylabel=label)
            axis.set_ylim(0, 1.06 * axis.get_ylim()[1])
        row[0].legend(frameon=False)
    return figure


def alike(reads):
    """Returns the sets of policies whose reads are within half a per cent of each other at every number of pins."""
    out = []
    for policy in [p for p in EVICTIONS if p in reads]:
        for group in out:
            if bool(((reads[policy] / reads[group[0]] - 1).abs() < 0.005).all()):
                group.append(policy)
                break
        else:
            out.append([policy])
    return [" and ".join(look(p, EVICTIONS)["label"] for p in group) for group in out if len(group) > 1]


def effect(reads):
    """Says in words that the choice of the policy matters more than pins do, where it does."""
    none = reads.iloc[0].sort_values()
    if none.max() - none.min() <= (reads.iloc[-1] - reads.iloc[0]).abs().max():
        return []
    told = ", ".join(f"{look(policy, EVICTIONS)['label']} {value:,.0f}" for policy, value in none.items())
    return [f"The choice of the policy matters more than the pins; MiB read without pins: {told}."]


def notes(table):
    said = []
    for part in [p for p in PARTS if p in set(table.part)]:
        reads = means(table, part, "disk_read_mib")
        groups = alike(reads)
        same = [f"Read the same, one curve on the other: {'; '.join(groups)}."] if groups else []
        if same or effect(reads):
            said.append(f"{PARTS[part].capitalize()}. " + " ".join(same + effect(reads)))
    return " ".join([*said, "The claims were worded after seeds 1 to 3 and two builds of one configuration had been "
                            "seen. "
                     "They are checked here on other seeds (from 101 on) and on builds of another configuration."])
