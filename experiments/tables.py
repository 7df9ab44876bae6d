"""Makes the tidy tables from which figures are drawn out of stored results (columns: analysis/README.md)."""
import pandas

MIB = 1 << 20
PAGES_PER_MIB = 256


def memory_vs_guests(run, result):
    metrics, labels = result["metrics"], dict(run.labels)
    row = {"part": run.part, "guests": labels["guests"], "arm": labels["arm"], "config": labels["config"], "seed": run.seed,
           "pages_peak": metrics["pages_peak"], "pages_end": metrics["pages_end"],
           "unique_pages": metrics["unique_pages_at_peak"]}
    yield row
    if labels["arm"] == "private":
        # This is the upper bound of sharing: one frame for each content that was there at the same time.
        yield {**row, "arm": "oracle", "pages_peak": metrics["unique_pages_peak"],
               "pages_end": metrics["unique_pages_end"]}


def build_time_vs_guests(run, result):
    metrics, labels, settings = result["metrics"], dict(run.labels), result["settings"]
    panel = "guests" if run.part == "guests" else "cache"
    yield {"panel": panel, "guests": int(settings["guests.count"]), "arm": labels["arm"],
           "config": labels.get("config", "same"), "cache_mib": labels.get("cache_mib", metrics["cache_mib"]),
           "seed": run.seed, "completion_s": metrics["completion_s"], "disk_reads": metrics["disk_reads"],
           "disk_read_mib": metrics["disk_read_bytes"] / MIB, "failed_operations": metrics["failed_operations"]}


def iozone_surface(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    table = pandas.DataFrame(result["tables"]["iozone"])
    for row in table.to_dict("records"):
        yield {"arm": labels["arm"], "test": row["test"], "size_kib": row["size_kib"],
               "record_kib": row["record_kib"], "seed": run.seed,
               "throughput_kib_per_s": row["throughput_kib_per_s"],
               "guest_memory_mib": metrics["guest_memory_mib"], "host_cache_mib": labels.get("cache_mib", metrics["cache_mib"])}


def flip_copy_map(run, result):
    labels = dict(run.labels)
    for row in pandas.DataFrame(result["tables"]["pages"]).to_dict("records"):
        yield {"mode": labels["mode"], "temperature": labels["temperature"], "batch_pages": row["batch_pages"],
               "vcpus": labels["vcpus"], "seed": run.seed, "ns_per_page": row["ns_per_page"]}


def sharing_over_time(run, result):
    labels = dict(run.labels)
    for row in pandas.DataFrame(result["tables"]["series"]).to_dict("records"):
        yield {"arm": labels["arm"], "time_s": row["time_ns"] / 1e9, "seed": run.seed,
               "pages_total": row["file_pages"], "pages_shared": row["shared_pages"],
               "pages_saved": row["saved_pages"]}


def stealing(run, result):
    labels = dict(run.labels)
    for row in pandas.DataFrame(result["tables"]["stealing"]).to_dict("records"):
        yield {"ledger": labels["ledger"], "time_s": row["time_ns"] / 1e9, "seed": run.seed,
               "hostile_pinned_pages": row["hostile_pinned_pages"],
               "hostile_limit_pages": row["hostile_limit_pages"],
               "neighbour_ops_per_s": row["neighbour_ops_per_s"],
               "neighbour_hit_ratio": row["neighbour_hit_ratio"]}


def page_sharing_over_time(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    for row in pandas.DataFrame(result["tables"]["sharing"]).to_dict("records"):
        yield {"part": run.part, "policy": labels["policy"], "pages_per_wake": labels["pages_per_wake"],
               "time_s": row["time_ns"] / 1e9, "seed": run.seed, "possible_pages": row["possible_pages"],
               "saved_pages": row["saved_pages"], "breaks": row["breaks"], "scan_cpu_s": row["scan_cpu_ns"] / 1e9,
               "completion_s": metrics["completion_s"], "guest_pages": 2 * metrics["guest_memory_mib"] * PAGES_PER_MIB}


def scan_delay(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    series = pandas.DataFrame(result["tables"]["sharing"])
    reached = series[series.saved_pages >= series.possible_pages / 2]
    pages, life = metrics["sharing_pages_end"], labels.get("lifetime_ms", 0) / 1000
    # Pages that were there at the start had lived before, so counting begins after one lifetime. A merged pair dies
    # with one break, since both pages are written at the same time.
    first, last = series[series.time_ns >= life * 1e9].iloc[0], series.iloc[-1]
    yield {"part": run.part, "pages_per_wake": labels.get("pages_per_wake", 200),
           "lifetime_s": life, "shape": labels.get("shape", ""), "seed": run.seed,
           "pages": pages, "pass_s": metrics["completion_s"] * pages / metrics["sharing_scanned_pages"],
           "half_found_s": reached.time_ns.min() / 1e9,
           "pairs": (last.anonymous_deaths - first.anonymous_deaths) / 2, "pairs_merged": last.breaks - first.breaks}


def sharing_across_guests(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    yield {"part": run.part, "host": labels.get("host", "alike"), "guests": int(result["settings"]["guests.count"]),
           "seed": run.seed, "pages": metrics["sharing_pages_end"], "zero_pages": metrics["sharing_zero_pages_end"],
           "within_pages": metrics["sharing_possible_within_pages_end"],
           "between_pages": metrics["sharing_possible_between_pages_end"],
           "shared_pages": metrics["sharing_shared_pages_end"], "saved_pages": metrics["sharing_saved_pages_end"],
           "possible_pages": metrics["sharing_possible_pages_end"]}


def virtiofs_dax(run, result):
    labels = dict(run.labels)
    file_mib = result["tables"]["fio"]["bytes"][0] / MIB
    yield {"part": run.part, "mode": labels.get("mode", "virtiofs-dax"), "window_mib": labels.get("window_mib", 0),
           "file_mib": file_mib, "seed": run.seed, "iops": result["tables"]["fio"]["iops"][0],
           "ranges_set_up": result["guests"][0].get("dax_ranges_set_up", 0),
           "ranges_reclaimed": result["guests"][0].get("dax_ranges_reclaimed", 0)}


def persistent_grants(run, result):
    fio, labels = result["tables"]["fio"], dict(run.labels)
    seconds = max(fio["elapsed_ns"]) / 1e9
    yield {"grants": labels["grants"], "guests": labels["guests"], "seed": run.seed,
           "iops": sum(fio["operations"]) / seconds,
           "flush_wait_us": sum(g.get("block_flush_wait_ns", 0) for g in result["guests"]) / 1000 / sum(fio["operations"])}


def packet_mechanisms(run, result):
    labels = dict(run.labels)
    for row in pandas.DataFrame(result["tables"]["packets"]).to_dict("records"):
        yield {"mechanism": labels["mechanism"], "batch_packets": row["batch_packets"], "seed": run.seed,
               "stack_ns": 1000 * labels["stack_us"], "ns_per_packet": row["ns_per_packet"],
               "driver_ns_per_packet": row["driver_ns_per_packet"], "guest_ns_per_packet": row["guest_ns_per_packet"]}


def charging(run, result):
    labels = dict(run.labels)
    for guest in result["guests"]:
        yield {"part": run.part, "charging": labels["charging"], "seed": run.seed, "guest": guest["guest"],
               "held_pages": guest["held_pages"], "charged_pages": guest["pinned_pages"], "rebate_pages": guest["rebate_pages"],
               "owed_pages": guest["owed_pages"], "seized_pages": guest["seized_pages"], "quota_pages": guest["quota_pages"],
               "neighbour_operations": guest.get("neighbour_operations", 0)}


def copy_on_write_storm(run, result):
    labels = dict(run.labels)
    for row in pandas.DataFrame(result["tables"]["sharing"]).to_dict("records"):
        yield {"arm": labels["arm"], "time_s": row["time_ns"] / 1e9, "seed": run.seed, "saved_pages": row["saved_pages"],
               "given_pages": row["given_pages"], "overcommitted_pages": row["overcommitted_pages"],
               "overcommitted_peak_pages": result["metrics"]["sharing_overcommitted_pages_peak"], "breaks": row["breaks"]}


def sensitivity(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    yield {"arm": labels["arm"], "guests": labels["guests"], "seed": run.seed, "completion_s": metrics["completion_s"],
           "pages_peak": metrics["pages_peak"], "disk_read_mib": metrics["disk_read_bytes"] / MIB}


def victim_cache(run, result):
    metrics = result["metrics"]
    yield {"victim_mib": dict(run.labels)["victim_mib"], "seed": run.seed, "disk_read_mib": metrics["disk_read_bytes"] / MIB,
           "completion_s": metrics["completion_s"], "hits": metrics.get("victim_hits", 0), "misses": metrics.get("victim_misses", 0)}


def transfer_regret(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    row = {"part": run.part, "point": labels["point"], "policy": labels["policy"], "seed": run.seed}
    if run.part in ("use", "held-out"):
        yield {**row, "time_us": max(result["tables"]["fio"]["elapsed_ns"]) / 1000}
    elif run.part == "batch":
        for pages in pandas.DataFrame(result["tables"]["pages"]).to_dict("records"):
            yield {**row, "point": f"batch-{pages['batch_pages']}", "time_us": pages["latency_ns_per_page"] * pages["pages"] / 1000}
    else:
        yield {**row, "time_us": metrics["completion_s"] * 1e6}


def eviction_under_pins(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    seconds = max(result["tables"]["fio"]["elapsed_ns"]) / 1e9 if run.part == "zipf" else metrics["completion_s"]
    yield {"part": run.part, "eviction": labels["eviction"], "pins_percent": labels["pins"], "seed": run.seed,
           "disk_read_mib": metrics["disk_read_bytes"] / MIB, "seconds": seconds}


def dedup_by_layer(run, result):
    labels, metrics = dict(run.labels), result["metrics"]
    series = pandas.DataFrame(result["tables"]["series"]).set_index("time_ns")
    if "sharing" in result["tables"]:  # what the hypervisor has merged, sampled at the same times
        merged = pandas.DataFrame(result["tables"]["sharing"]).set_index("time_ns").saved_pages
        series["file_pages"] -= merged.reindex(series.index).fillna(0).astype(int)
    for time_ns, row in series.iterrows():
        yield {"layer": run.part, "policy": labels["policy"], "config": labels["config"], "seed": run.seed, "time_s": time_ns / 1e9,
               "pages": row.file_pages, "unique_pages": row.unique_pages, "completion_s": metrics["completion_s"],
               "asked_pages": metrics.get("server_scan_asked", 0)}


ROWS = {"sensitivity": sensitivity, "dedup-by-layer": dedup_by_layer, "transfer-regret": transfer_regret, "eviction-under-pins": eviction_under_pins,
        "virtiofs-dax": virtiofs_dax, "persistent-grants": persistent_grants, "packet-mechanisms": packet_mechanisms,
        "copy-on-write-storm": copy_on_write_storm, "victim-cache": victim_cache,
        "charging": charging, "page-sharing-over-time": page_sharing_over_time, "scan-delay": scan_delay,
        "sharing-across-guests": sharing_across_guests,
        "memory-vs-guests": memory_vs_guests, "build-time-vs-guests": build_time_vs_guests,
        "iozone-surface": iozone_surface, "flip-copy-map": flip_copy_map,
        "sharing-over-time": sharing_over_time, "stealing": stealing}


def table(figure, runs_and_results):
    """Returns the figure's table, with rows in the plan's order, so that equal runs give equal bytes."""
    return pandas.DataFrame([row for run, result in runs_and_results for row in ROWS[figure](run, result)])
