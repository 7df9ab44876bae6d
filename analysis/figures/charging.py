"""Shows who pays for a page that several guests have pinned: fairness, and what a hostile guest gains."""
from analysis.style import over_seeds, whisker

TITLE = "Charging for shared pages: fairness and theft"
CAPTION = ("Left: one guest of four maps all that its neighbours have mapped (24 MiB each), then pages of its own, as far as its credit of "
           "24 MiB goes, and keeps them; then the neighbours leave. Dark: what it has paid for (with entitlement, also what was taken "
           "from memory that it had offered, 8 MiB); light: what it holds for nothing. Right: four guests build the same tree, one after the other; "
           "what each pays for a page that it has pinned, when the last is done. Jain's index is 1 where all pay the "
           "same. "
           "none: nobody pays; first: the guest that touched a page first pays for it alone; each: every guest that "
           "holds a page "
           "pays for a whole one; proportional: the n that hold a page pay a part of 1/n each; entitlement: the "
           "same, but only as "
           "far as the guest has offered memory that can be taken back when the others leave.")
COLUMNS = ("part", "charging", "seed", "guest", "held_pages", "charged_pages", "rebate_pages", "owed_pages", "seized_pages", "quota_pages",
           "neighbour_operations")
ORDER = ("none", "first", "each", "proportional", "entitlement")
COLOURS = {"none": "#999999", "first": "#D55E00", "each": "#0072B2", "proportional": "#E69F00", "entitlement": "#009E73"}
PAGES_PER_MIB = 256


def thief(table):
    """Returns by charging policy the pages held, the unpaid ones among them, and the credit, at the end: means over
    seeds."""
    rows = table[(table.part == "hostile") & (table.guest == 1)]
    means = rows.groupby("charging").mean(numeric_only=True)
    means["unpaid"] = means.held_pages - means.charged_pages + means.owed_pages
    return means


def prices(table, charging):
    """Returns what each guest pays for a page that it holds."""
    rows = table[(table.part == "fair") & (table.charging == charging)].groupby("guest").mean(numeric_only=True)
    rebate = rows.rebate_pages if charging in ("proportional", "entitlement") else 0
    return (rows.charged_pages - rebate) / rows.held_pages.clip(lower=1)


def jain(values):
    """Returns (sum x)^2 / (n sum x^2); 1 where nobody pays anything."""
    squares = (values ** 2).sum()
    return values.sum() ** 2 / (len(values) * squares) if squares > 0 else 1.0


def check(table, claims):
    held = thief(table)
    mib = held / PAGES_PER_MIB
    if set(ORDER) <= set(held.index):
        claims.check("where each pays for what it holds, a guest gains nothing from others: it holds its credit and no more",
                     held.unpaid["each"] == 0 and held.held_pages["each"] <= held.quota_pages["each"],
                     f"{mib.held_pages['each']:.0f} MiB of {mib.quota_pages['each']:.0f}")
        claims.check("where the first toucher pays, a hostile guest holds over five sixths of what its neighbours "
                     "have touched (72 MiB), for "
                     "nothing, beside its own credit",
                     held.unpaid["first"] > 2.5 * held.quota_pages["first"],
                     f"{mib.held_pages['first']:.0f} MiB, {mib.unpaid['first']:.0f} of them unpaid")
        claims.check("without charges it holds yet more than where the first toucher pays",
                     held.held_pages["none"] > held.held_pages["first"], f"{mib.held_pages['none']:.0f} MiB")
        claims.check("paying in proportion, it holds 1.8 to 2.05 times its credit of pages shared by two, and 0.9 to "
                     "1.05 times its credit is "
                     "unpaid when the others have left",
                     1.8 < held.held_pages["proportional"] / held.quota_pages["proportional"] < 2.05
                     and 0.9 < held.unpaid["proportional"] / held.quota_pages["proportional"] < 1.05,
                     f"{mib.held_pages['proportional']:.0f} MiB, {mib.unpaid['proportional']:.0f} of them unpaid")
        claims.check("entitlement gives as much as can be taken back, and takes it back when the sharing ends",
                     held.unpaid["entitlement"] == 0 and held.seized_pages["entitlement"] > 0,
                     f"{mib.held_pages['entitlement']:.0f} MiB held, {mib.seized_pages['entitlement']:.0f} taken from what it had offered",
                     published="isolation holds when sharing ends: a repayment FIFO of volatile pages", source="Satori, USENIX ATC 2009", known_how="A")
    index = {c: jain(prices(table, c)) for c in ORDER if len(prices(table, c))}
    if {"first", "each", "proportional"} <= index.keys():
        rest = [index[c] for c in ("each", "proportional", "entitlement") if c in index]
        claims.check("the first toucher pays for the others: Jain's index is below 0.6, and above 0.9 where they share",
                     index["first"] < 0.6 and min(rest) > 0.9,
                     ", ".join(f"{c} {value:.2f}" for c, value in index.items()))


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 4.2))
    held = thief(table)
    names = [c for c in ORDER if c in held.index]
    for i, charging in enumerate(names):
        row = held.loc[charging] / PAGES_PER_MIB
        axes[0].bar(i, row.held_pages - row.unpaid, 0.6, color=COLOURS[charging])
        axes[0].bar(i, row.unpaid, 0.6, bottom=row.held_pages - row.unpaid, color=COLOURS[charging], alpha=0.35, hatch="//", edgecolor="white")
        rows = table[(table.part == "hostile") & (table.guest == 1) & (table.charging == charging)]
        whisker(axes[0], i, row.held_pages, over_seeds(rows, "charging", "held_pages").half.iloc[0] / PAGES_PER_MIB)
        axes[0].text(i, row.held_pages + 1.5, f"{row.held_pages:.0f}", ha="center", fontsize=8.5)
    axes[0].axhline(held.quota_pages.mean() / PAGES_PER_MIB, color="#000000", linestyle=":", linewidth=1, label="its credit")
    axes[0].bar(0, 0, color="#666666", label="paid for")
    axes[0].bar(0, 0, color="#666666", alpha=0.35, hatch="//", edgecolor="white", label="unpaid")
    axes[0].set_xticks(range(len(names)), names, fontsize=8.5)
    axes[0].set(ylabel="held by the hostile guest (MiB)")
    axes[0].legend(frameon=False)
    axes[0].grid(axis="x", visible=False)
    axes[0].set_axisbelow(True)
    for i, charging in enumerate(names):
        price = prices(table, charging)
        for j, (guest, value) in enumerate(price.items()):
            axes[1].bar(i + (j - (len(price) - 1) / 2) * 0.18, value, 0.15, color=COLOURS[charging])
        axes[1].text(i, 1.09, f"Jain {jain(price):.2f}", ha="center", fontsize=8.5)
    axes[1].set_xticks(range(len(names)), names, fontsize=8.5)
    axes[1].set(ylabel="paid for a page held, guests 1 to 4 (pages)", ylim=(0, 1.2))
    axes[1].grid(axis="x", visible=False)
    axes[1].set_axisbelow(True)
    return figure


def notes(table):
    return ("Entitlement needs a host that takes offered pages from a guest at once. Xen has no such call for a user-space server: the ledger "
            "counts what would be taken, no frame moves.")
