"""Small made-up tables, one a figure, that its claims hold on, or with sharing=False do not. No figure comes from them."""
import itertools

import pandas


def memory(sharing=True):
    rows = []
    for guests, config in itertools.product((1, 2, 4), ("same", "different")):
        other = 100 if config == "same" else 300
        step = other if sharing else 1000
        pages = {"private": 1000 * guests, "nfs": 1000 * guests + 500,
                 "xenfs-name": 700 + step * guests * (1 if sharing else 1),
                 "xenfs-content": 700 + (20 if config == "same" else 280) * guests if sharing else 900 * guests + guests * (config == "same"),
                 "oracle": 650 + 10 * guests}
        rows += [dict(part="guests", guests=guests, arm=arm, config=config, seed=1, pages_peak=n, pages_end=n, unique_pages=n)
                 for arm, n in pages.items()]
    return pandas.DataFrame(rows)


def build_time(sharing=True):
    rows = []
    for guests, arm in itertools.product((1, 2, 4), ("private", "nfs", "xenfs-name", "xenfs-content")):
        shared = arm.startswith("xenfs") and sharing
        time = {"private": 100, "nfs": 130}.get(arm, 102 if sharing else 200)
        rows.append(dict(panel="guests", guests=guests, arm=arm, config="same", cache_mib=512, seed=1, completion_s=time,
                         failed_operations=0, disk_reads=10, disk_read_mib=40 if shared else 40 * (guests if sharing else 1)))
        if arm != "private" and not sharing:
            rows[-1]["disk_read_mib"] = 40 * guests
    for size in (2, 8, 32, 128):
        rows.append(dict(panel="cache", guests=2, arm="xenfs-name", config="same", cache_mib=size, seed=1, completion_s=100,
                         failed_operations=0, disk_reads=1, disk_read_mib=400 if sharing and size < 32 else 40))
    return pandas.DataFrame(rows)


def iozone(sharing=True):
    rows = []
    for arm, size, record in itertools.product(("private", "nfs", "xenfs-name"), (2 ** k for k in range(14, 23)), (64, 1024)):
        speed = 2e6 if size <= 512 * 1024 else 1e6 if size <= 2048 * 1024 and arm != "private" else 1e5
        rows.append(dict(arm=arm, test="reread", size_kib=size, record_kib=record, seed=1, guest_memory_mib=512,
                         host_cache_mib=2048, throughput_kib_per_s=speed if sharing else 2e6))
    return pandas.DataFrame(rows)


def flip(sharing=True):
    rows = []
    for mode, temperature, batch, vcpus in itertools.product(("copy", "map", "flip"), ("warm", "cold"), (1, 2, 4, 8, 64, 512), (1, 8)):
        fixed = {"copy": 600, "map": 1600 + 300 * vcpus, "flip": 3000}[mode] if sharing else 0
        each = {"copy": 1700, "map": 900, "flip": 2000}[mode] if sharing else {"copy": 9000, "map": 10000, "flip": 800}[mode]
        rows.append(dict(mode=mode, temperature=temperature, batch_pages=batch, vcpus=vcpus, seed=1, ns_per_page=each + fixed / batch))
    return pandas.DataFrame(rows)


def sharing_time(sharing=True):
    rows = []
    for arm, t in itertools.product(("private", "xenfs-name", "xenfs-content"), range(0, 31)):
        saved = min(t * 100, 1000) + (t * 5 if arm == "xenfs-content" else 0)
        if arm == "private":
            saved = 0
        if not sharing:
            saved = {"private": 5, "xenfs-name": 10 * (t > 20), "xenfs-content": 1}[arm]
        rows.append(dict(arm=arm, time_s=t, seed=1, pages_total=2000, pages_shared=saved, pages_saved=saved))
    return pandas.DataFrame(rows)


def stealing(sharing=True):
    rows = []
    for ledger, t in itertools.product(("on", "off"), range(0, 21)):
        pinned = min(t * 1000, 4000 if (ledger == "on" and sharing) else 16000)
        hurt = 0.3 if (ledger == "off" and sharing) else 1.0
        rows.append(dict(ledger=ledger, time_s=t, seed=1, hostile_pinned_pages=pinned, hostile_limit_pages=4096,
                         neighbour_ops_per_s=1e5 * hurt, neighbour_hit_ratio=0.9 * hurt))
    return pandas.DataFrame(rows)


def page_sharing_time(sharing=True):
    rows = []
    for (part, rate), policy, t in itertools.product((("policies", 300), ("rates", 250), ("rates", 1600)), ("ksm", "xlh", "satori", "oracle"), range(1, 31)):
        late = {300: 15, 250: 22, 1600: 3}[rate]
        saved = {"ksm": 900 * (t > late), "xlh": min(900, 300 * t) if sharing else 10 * t, "satori": 950 if sharing else 400,
                 "oracle": 1000 if sharing else 900}[policy]
        rows.append(dict(part=part, policy=policy, pages_per_wake=rate, time_s=t, seed=1, possible_pages=1000, saved_pages=saved,
                         breaks=0, scan_cpu_s=0.1, completion_s=30, guest_pages=262144))
    return pandas.DataFrame(rows)


def scan_delay(sharing=True):
    rows = [dict(part="rate", pages_per_wake=rate, lifetime_s=0, shape="", seed=1, pages=8192, pass_s=160 / rate,
                 half_found_s=1.75 * 160 / rate if sharing else 3, pairs=0, pairs_merged=0) for rate in (50, 100, 200)]
    for shape, life in itertools.product(("fixed", "exponential"), (0.5, 1, 1.4, 2, 2.5, 4)):
        share = min(1, max(0, life - 1.5)) if shape == "fixed" and sharing else 0.4
        rows.append(dict(part="lifetime", pages_per_wake=200, lifetime_s=life, shape=shape, seed=1, pages=16384, pass_s=1,
                         half_found_s=1, pairs=1000, pairs_merged=1000 * share))
    return pandas.DataFrame(rows)


def across_guests(sharing=True):
    def row(part, host, guests, saved, within=0, between=0):
        pages = 10000 * guests
        return dict(part=part, host=host, guests=guests, seed=1, pages=pages, zero_pages=0.2 * pages if host == "barker" else 0,
                    within_pages=within * pages, between_pages=between * pages, shared_pages=0.067 * 10000 * (guests > 1),
                    saved_pages=saved * pages, possible_pages=saved * pages)
    rows = [row("alike", "alike", n, 0.67 * (n - 1) / n if sharing else 0.1 * n) for n in range(1, 11)]
    rows += [row("hosts", host, n, saved if sharing else 0.7) for host, n, saved in
             (("esx-a", 10, 0.343), ("esx-b", 9, 0.195), ("esx-c", 5, 0.08), ("de-alike", 4, 0.6), ("de-mixed", 6, 0.4))]
    rows.append(row("hosts", "barker", 3, 0.34, 0.13, 0.013 if sharing else 0.05))
    return pandas.DataFrame(rows)


def virtiofs(sharing=True):
    def row(part, mode, iops, window=0, reclaimed=0):
        return dict(part=part, mode=mode, window_mib=window, file_mib=256, seed=1, iops=iops, ranges_set_up=128,
                    ranges_reclaimed=reclaimed)
    rows = [row("window", "virtiofs-dax", iops if sharing else 20000, window, 100 * (window <= 256))
            for window, iops in ((64, 4000), (128, 5600), (256, 15000), (512, 240000))]
    rows += [row("psync", mode, iops if sharing else 9000) for mode, iops in
             (("9p-none", 24000), ("virtiofs-none", 24500), ("virtiofs-auto", 162500), ("virtiofs-dax", 176000))]
    rows += [row("mmap", mode, iops) for mode, iops in (("9p-none", 17000), ("virtiofs-auto", 15000), ("virtiofs-dax", 220000))]
    return pandas.DataFrame(rows)


def grants(sharing=True):
    rows = []
    for way, n in itertools.product(("map", "persistent", "copy"), range(1, 11)):
        iops = {"map": min(130e3 * n, 650e3 - 48e3 * (n - 5)), "persistent": 120e3 * n, "copy": 110e3 * n}[way] if sharing else 130e3 * n
        rows.append(dict(grants=way, guests=n, seed=1, iops=iops, flush_wait_us=n * (way == "map")))
    return pandas.DataFrame(rows)


def packets(sharing=True):
    rows = []
    for mechanism, batch, late in itertools.product(("flip", "copy", "map", "reuse"), (1, 8, 64), (False, True)):
        driver, guest = {"flip": (5400, 6400), "copy": (4000, 6000), "map": (4000, 2800), "reuse": (2700, 2000)}[mechanism]
        rows.append(dict(mechanism=mechanism, batch_packets=batch, seed=1, stack_ns=1000 if late else 2000, ns_per_packet=driver + guest if sharing else 9000,
                         driver_ns_per_packet=driver if sharing else 4500, guest_ns_per_packet=guest if sharing else 4500))
    return pandas.DataFrame(rows)


def charging(sharing=True):
    rows = []
    held = {"none": (26000, 0, 0, 0), "first": (24000, 6144, 0, 0), "each": (6144, 6144, 0, 0), "proportional": (12288, 12288, 6144, 0),
            "entitlement": (8192, 8192, 0, 2048)}
    for name, (pages, charged, owed, seized) in held.items():
        rows.append(dict(part="hostile", charging=name, seed=1, guest=1, held_pages=pages if sharing else 7000, charged_pages=charged,
                         rebate_pages=0, owed_pages=owed, seized_pages=seized, quota_pages=6144, neighbour_operations=0))
        for guest in (1, 2, 3, 4):
            price = {"none": 0, "first": guest == 1 or not sharing, "each": 1, "proportional": 1, "entitlement": 1}[name]
            rebate = 750 if name in ("proportional", "entitlement") else 0
            rows.append(dict(part="fair", charging=name, seed=1, guest=guest, held_pages=1000, charged_pages=1000 * price, rebate_pages=rebate,
                             owed_pages=0, seized_pages=0, quota_pages=6144, neighbour_operations=0))
    return pandas.DataFrame(rows)


def storm(sharing=True):
    rows = []
    for arm, t in itertools.product(("ksm-spend", "satori-keep", "satori-repay"), range(0, 61, 5)):
        saved = 24576 if t < 30 else 0
        given = 0 if arm == "satori-keep" else saved if arm == "satori-repay" and sharing else 24576
        peak = {"ksm-spend": 24576, "satori-keep": 0, "satori-repay": 0 if sharing else 24576}[arm]
        rows.append(dict(arm=arm, time_s=t, seed=1, saved_pages=saved, given_pages=given, overcommitted_pages=max(0, given - saved),
                         overcommitted_peak_pages=peak, breaks=0))
    return pandas.DataFrame(rows)


def victim_cache(sharing=True):
    return pandas.DataFrame([dict(victim_mib=size, seed=1, disk_read_mib=400 - (size * 2 if sharing else -size),
                                  completion_s=100 - (size / 20 if sharing else 0), hits=size, misses=1) for size in (0, 32, 64, 128)])


def transfer_regret(sharing=True):
    ways = ("copy", "map", "map_once", "map_window", "flip")
    times = {"once-4k": (10, 12, 20, 8, 15), "again-256k": (15, 8, 20, 9, 20), "again-4k": (15, 8, 20, 9, 20), "random-once": (8, 9, 10, 30, 12),
             "zipf-no-room": (9, 10, 11, 80, 13), "write-256k": (12, 10, 9, 11, 8), "small-quota": (9, 10, 8, 12, 20),
             "zipf-1.2-16k": (9, 10, 12, 8, 13)}
    rows = []
    for point, values in times.items():
        for way, value in (*zip(ways, values), ("adaptive", 1.02 * min(values))):
            rows.append(dict(part="held-out" if point == "zipf-1.2-16k" else "use", point=point, policy=way, seed=1, time_us=value if sharing else 5 if way != "adaptive" else 9))
    return pandas.DataFrame(rows)


def dedup_by_layer(sharing=True):
    pages = {"private": {"none": 1000, "ksm": 750, "xlh": 650, "satori": 520}, "shared": {"none": 1000, "scan": 950, "hinted": 930, "content": 500, "name": 510}}
    if not sharing:
        pages = {"private": {"none": 1000, "ksm": 500, "xlh": 600, "satori": 900}, "shared": {"none": 1000, "scan": 500, "hinted": 600, "content": 500, "name": 700}}
    return pandas.DataFrame([dict(layer=layer, policy=policy, config=config, seed=1, time_s=time, pages=value * time, unique_pages=490 * time, completion_s=2, asked_pages=30)
                             for layer, by in pages.items() for policy, value in by.items() for config in ("same", "different") for time in (1, 2)])


def eviction_under_pins(sharing=True):
    rows = []
    for part, (name, base), pins in itertools.product(("zipf", "build"), (("lru", 100), ("arc", 90)), (0, 50, 100)):
        rows.append(dict(part=part, eviction=name, pins_percent=pins, seed=1, disk_read_mib=base + (97 - base) * pins / 100 if sharing else base * (1 + pins / 100),
                         seconds=10 - pins / 50 if sharing else 10 + pins))
    return pandas.DataFrame(rows)


def headline(sharing=True):
    rows = []
    for constant, end in (("", "here"), ("xen.flip", "low"), ("xen.flip", "high")):
        for arm, time, pages in (("private", 100, 4000), ("nfs", 120, 5000), ("xenfs-name", 100 if sharing or end != "high" else 130, 1500)):
            rows.append(dict(arm=arm, guests=4, seed=1, completion_s=time, pages_peak=pages, disk_read_mib=1, constant=constant, unit="us",
                             here=1.5, low=0.8, high=4, known="estimate", end=end, value=1))
    return pandas.DataFrame(rows)


TABLES = {"transfer-regret": transfer_regret, "eviction-under-pins": eviction_under_pins, "dedup-by-layer": dedup_by_layer, "virtiofs-dax": virtiofs, "persistent-grants": grants, "packet-mechanisms": packets,
        "copy-on-write-storm": storm, "victim-cache": victim_cache, "sensitivity": headline, "charging": charging, "page-sharing-over-time": page_sharing_time, "scan-delay": scan_delay, "sharing-across-guests": across_guests,
          "memory-vs-guests": memory, "build-time-vs-guests": build_time, "iozone-surface": iozone,
          "flip-copy-map": flip, "sharing-over-time": sharing_time, "stealing": stealing}
