"""Each module is one figure: TITLE, CAPTION, COLUMNS, check(table, claims), draw(plt, table), notes(table)."""

FIGURES = ("memory-vs-guests", "build-time-vs-guests", "iozone-surface", "flip-copy-map",
           "sharing-over-time", "stealing", "sensitivity",
           "virtiofs-dax", "persistent-grants", "packet-mechanisms",
           "page-sharing-over-time", "scan-delay", "sharing-across-guests", "dedup-by-layer", "charging", "copy-on-write-storm", "victim-cache",
           "transfer-regret", "eviction-under-pins")
