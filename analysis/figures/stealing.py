"""Shows what a client that never releases can pin, with and without the ledger, and what it costs others."""
from analysis.style import LINES, curve, over_seeds, sparse

TITLE = "Stealing: a client that never gives a page back"
CAPTION = ("One guest reads through a large file and never releases a page; the others work on files of their own. Left: pages that "
           "it pins, with the ledger (pinned ≤ donated + quota) and without. Middle: the pages that its neighbours "
           "read in a "
           "second. Right: the share of these that the shared cache holds.")
COLUMNS = ("ledger", "time_s", "seed", "hostile_pinned_pages", "hostile_limit_pages", "neighbour_ops_per_s",
           "neighbour_hit_ratio")
LOOK = {"on": {"label": "with the ledger", "color": "#0072B2", "marker": "^", "linestyle": LINES["o"]},
        "off": {"label": "without the ledger", "color": "#D55E00", "marker": "o", "linestyle": LINES["s"]}}
PAGES_PER_MIB = 256


def check(table, claims):
    on, off = table[table.ledger == "on"], table[table.ledger == "off"]
    if on.empty or off.empty:
        return
    claims.check("with the ledger, what the client pins never exceeds its donation and quota",
                 bool((on.hostile_pinned_pages <= on.hostile_limit_pages).all()),
                 f"at most {on.hostile_pinned_pages.max() / PAGES_PER_MIB:,.0f} of "
                 f"{on.hostile_limit_pages.max() / PAGES_PER_MIB:,.0f} MiB",
                 published="“page flipping and shared mappings is used to ensure that clients can't abuse this facility to ‘steal’ memory”",
                 source="XenFS status report, 2009", known_how="V")
    claims.check("without the ledger, the client pins more than twice as much",
                 off.hostile_pinned_pages.max() > 2 * on.hostile_pinned_pages.max(),
                 f"{off.hostile_pinned_pages.max() / PAGES_PER_MIB:,.0f} MiB")
    late = [t[t.time_s >= 0.75 * t.time_s.max()].neighbour_ops_per_s.mean() for t in (on, off)]
    claims.check("the neighbours pay for it: in the last quarter they read at least a tenth less without the ledger "
                 "than with it",
                 late[1] < 0.9 * late[0], f"{late[1]:,.0f} against {late[0]:,.0f} page reads a second")


def draw(plt, table):
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.9), sharex=True)
    panels = (("hostile_pinned_pages", 1 / PAGES_PER_MIB), ("neighbour_ops_per_s", 1), ("neighbour_hit_ratio", 100))
    for place, (ledger, rows) in enumerate(table.groupby("ledger")):
        for axis, (column, scale) in zip(axes, panels):
            curve(axis, over_seeds(rows, "time_s", column), scale, **LOOK[ledger], **sparse(place))
        if ledger == "on":
            mean = rows.groupby("time_s").mean(numeric_only=True)
            axes[0].plot(mean.index, mean.hostile_limit_pages / PAGES_PER_MIB, color="#777777", linestyle=":",
                         linewidth=1.4, label="donated + quota")
    axes[0].set(ylabel="pinned by the hostile client (MiB)", xlabel="time (s)")
    axes[1].set(ylabel="neighbours' page reads per second", xlabel="time (s)")
    axes[2].set(ylabel="neighbours' cache hits (%)", xlabel="time (s)")
    for axis in axes:
        axis.set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    return figure


def notes(table):
    return ""
