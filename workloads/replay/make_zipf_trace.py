#!/usr/bin/python3
"""Makes a trace of zipf-distributed page requests (needs python3-numpy).

Object of rank r is requested with probability proportional to r^-alpha. Ids are a random
permutation of 1..objects, so that rank leaks neither into hashes nor into layout. The same
arguments give the same bytes: numpy's PCG64, first the permutation, then one uniform number a
request, turned into a rank through the cumulative distribution.

  T1: make_zipf_trace.py T1 --objects 1000000  --requests 20000000 --alpha 1.0 --seed 42
  T2: make_zipf_trace.py T2 --objects 10000000 --requests 20000000 --alpha 0.8 --seed 42
"""
import argparse
import os

import numpy as np

RECORD = np.dtype([("time_s", "<u4"), ("id", "<u8"), ("size_bytes", "<u4"), ("next", "<i8")])
REQUESTS_PER_SECOND = 10_000
CHUNK = 1_000_000


def request_ids(objects, requests, alpha, seed):
    """Yields (index of the first request, ids) in chunks."""
    generator = np.random.default_rng(seed)
    weights = np.arange(1, objects + 1, dtype=np.float64) ** -alpha
    cumulative = np.cumsum(weights)
    cumulative /= cumulative[-1]
    id_of_rank = generator.permutation(objects).astype(np.uint64) + 1
    for first in range(0, requests, CHUNK):
        uniform = generator.random(min(CHUNK, requests - first))
        yield first, id_of_rank[np.searchsorted(cumulative, uniform)]


def records(first, ids):
    """oracleGeneral records without knowledge of the next access."""
    result = np.empty(len(ids), dtype=RECORD)
    result["time_s"] = np.arange(first, first + len(ids)) // REQUESTS_PER_SECOND
    result["id"] = ids
    result["size_bytes"] = 4096
    result["next"] = -1
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prefix", help="writes PREFIX.oracleGeneral and PREFIX.u64")
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--alpha", type=float, required=True)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--format", choices=["oracleGeneral", "u64", "both"], default="both")
    arguments = parser.parse_args()

    formats = ["oracleGeneral", "u64"] if arguments.format == "both" else [arguments.format]
    names = {kind: f"{arguments.prefix}.{kind}" for kind in formats}
    files = {kind: open(name + ".partial", "wb") for kind, name in names.items()}
    for first, ids in request_ids(arguments.objects, arguments.requests, arguments.alpha,
                                  arguments.seed):
        if "u64" in files:
            ids.astype("<u8").tofile(files["u64"])
        if "oracleGeneral" in files:
            records(first, ids).tofile(files["oracleGeneral"])
    for kind, file in files.items():
        file.close()
        os.replace(names[kind] + ".partial", names[kind])


if __name__ == "__main__":
    main()
