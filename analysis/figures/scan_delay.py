"""Shows KSM's delay, and the pages that it never finds."""
import numpy

from analysis.style import over_seeds, whisker

TITLE = "How long a scanner takes, and what it never finds"
CAPTION = ("Two idle guests hold the same pages; KSM walks all of them. Left: pages that stay, found by half, against the time of one "
           "pass (pages / scan rate). Right: pages that both guests hold for the same time; the share that is merged before they die, "
           "against that time in passes. Grey: the rule that a page is found 1.5 to 2.5 passes after its birth, evenly.")
COLUMNS = ("part", "pages_per_wake", "lifetime_s", "shape", "seed", "pages", "pass_s", "half_found_s", "pairs", "pairs_merged")
LOOKS = {"fixed": ("all pages live equally long", "#0072B2", "o"), "exponential": ("exponentially distributed", "#D55E00", "s")}


def caught(table, shape):
    """Returns by lifetime in passes the share of the pairs that was merged."""
    rows = table[(table.part == "lifetime") & (table["shape"] == shape)]
    rows = rows.assign(passes=rows.lifetime_s / rows.pass_s, share=rows.pairs_merged / rows.pairs)
    means = rows.groupby("lifetime_s")[["passes", "share"]].mean()
    return means.set_index("passes").share


def rule(lifetime, shape):
    """Computes the share for pages merged evenly between 1.5 and 2.5 passes after birth: those that live so long."""
    if shape == "fixed":
        return numpy.clip(lifetime - 1.5, 0, 1)
    return lifetime * (numpy.exp(-1.5 / lifetime) - numpy.exp(-2.5 / lifetime))


def check(table, claims):
    rate = table[table.part == "rate"].groupby("pages_per_wake")[["pass_s", "half_found_s"]].mean()
    if len(rate) > 1:
        passes = rate.half_found_s / rate.pass_s
        claims.check("the delay is pages / scan rate: half is found after the same number of passes, 1.5 to 2.1, at "
                     "every rate; the most at most 1.2 times the fewest",
                     bool(((passes > 1.5) & (passes < 2.1)).all()) and passes.max() / passes.min() < 1.2,
                     f"{passes.min():.2f} to {passes.max():.2f} passes over rates of {rate.index.min()} to {rate.index.max()} pages a wake-up",
                     published="delay = pages / scan rate", source="from KSM's algorithm (OLS 2009)", known_how="D")
    fixed = caught(table, "fixed")
    if len(fixed):
        short = fixed[fixed.index < 1.5]
        long = fixed[fixed.index >= 2.5]
        claims.check("a page that lives less than 1.5 passes is not caught: under 2 % are", bool((short < 0.02).all()) and len(short) > 0,
                     f"at most {100 * short.max():.1f} % of those up to {short.index.max():.2f} passes",
                     published="a page shorter-lived than 1.5 passes is not caught", source="from KSM's algorithm (OLS 2009)", known_how="D")
        claims.check("one that lives 2.5 passes or longer is caught: over 95 % are", len(long) > 0 and bool((long > 0.95).all()),
                     f"at least {100 * long.min():.1f} % of those from {long.index.min():.2f} passes on")
        off = max(abs(share - rule(passes, "fixed")) for passes, share in fixed.items())
        claims.check("between, the share follows the rule, within 12 points", off < 0.12, f"at most {100 * off:.1f} "
                                                                                          "points off")


def draw(plt, table):
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.0))
    rate = table[table.part == "rate"].groupby("pages_per_wake")[["pass_s", "half_found_s"]].mean()
    axes[0].plot(rate.pass_s, rate.half_found_s, color="#0072B2", marker="o", label="simulated")
    top = rate.pass_s.max()
    axes[0].plot([0, top], [0, 1.75 * top], color="#999999", linestyle="--", label="1.75 passes (one guest is walked after the other)")
    for pages, row in rate.iterrows():
        axes[0].annotate(f"{pages} pages / 20 ms", (row.pass_s, row.half_found_s), xytext=(6, -11), textcoords="offset points", fontsize=8)
    axes[0].set(xlabel="time of one pass: pages / scan rate (s)", ylabel="half of the equal pages merged after (s)", xlim=(0, top * 1.35))
    axes[0].set_ylim(0, 2.3 * top)
    axes[0].legend(frameon=False, loc="upper left")
    for shape, (label, colour, marker) in LOOKS.items():
        share = caught(table, shape)
        if not len(share):
            continue
        grid = numpy.linspace(0.3, max(share.index.max(), 3), 200)
        axes[1].plot(grid, 100 * rule(grid, shape), color="#999999", linestyle="--" if shape == "fixed" else ":", linewidth=1)
        axes[1].plot(share.index, 100 * share, color=colour, marker=marker, linestyle="", label=label)
        rows = table[(table.part == "lifetime") & (table["shape"] == shape)]
        stats = over_seeds(rows.assign(percent=100 * rows.pairs_merged / rows.pairs), "lifetime_s", "percent")
        for passes, (mean, half) in zip(share.index, stats[["mean", "half"]].to_numpy()):
            whisker(axes[1], passes, mean, half)
    axes[1].axvline(1.5, color="#000000", linewidth=0.8, linestyle=":")
    axes[1].text(1.55, 94, "1.5 passes", fontsize=8)
    axes[1].set(xlabel="life of a page, in passes", ylabel="merged before they die (%)", ylim=(-3, 103))
    axes[1].legend(frameon=False, loc="lower right")
    return figure


def notes(table):
    return ""
