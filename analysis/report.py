#!/usr/bin/env python3
"""Draws every figure, checks every claim and writes the report, from stored results alone."""
import argparse
import base64
import importlib
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jinja2  # noqa: E402

from analysis import sensitivity, style  # noqa: E402
from analysis.claims import FITTED, KNOWN_HOW, Claims  # noqa: E402
from analysis.data import DataError, load  # noqa: E402
from analysis.figures import FIGURES  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def write_whole(path, text):
    """Replaces `path` by `text` in one step: a full disk or a ^C leaves the old file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def runs_called(parts):
    return f"the runs “{'”, “'.join(parts)}”"


def seeds_sentence(name, manifest):
    """Returns what of a figure is random, and how many seeds were run, as the runs themselves tell."""
    parts = manifest.get("seeds", {}).get(name, {})
    untried = [part for part, known in parts.items() if known["random"] is None]
    random = {part: len(known["seeds"]) for part, known in parts.items() if known["random"]}
    if not random:
        return "Nothing here is drawn at random: another seed gave the same results, byte for byte." if parts and not untried else ""
    where = "" if len(random) == len(parts) else f" in {runs_called(random)}" + ("" if untried else " and nowhere else")
    seeds = min(random.values())
    if seeds == 1:
        more = "; the full scale runs five and draws the interval" if manifest["scale"] != "full" else ""
        return f"Something is drawn at random{where}; one seed was run{more}."
    # For these parts it is unknown whether a seed matters.
    single = [part for part in untried if len(parts[part]["seeds"]) == 1]
    rest = f"; {runs_called(single)} are of one seed" if single else ""
    return f"Something is drawn at random{where}: shown is the mean of {seeds} seeds with its 95 % interval (Student's t){rest}."


def scale_sentence(name, manifest):
    says = manifest.get("says", {}).get(name)
    return f"Scale {manifest['scale']}: {says}." if says else ""


UNITS = {"mib": "MiB", "kib": "KiB", "ms": "ms", "us": "µs", "s": "s"}
RUNS_NAMED = 8  # of those in which operations failed; manifest.json has them all


def called(labels):
    """Names a run by its labels: "arm private, cache 16 MiB"."""
    words = []
    for axis, value in labels.items():
        name, _, unit = axis.rpartition("_")
        known = name and unit in UNITS
        words.append(f"{name if known else axis} {value}".replace("_", " ") + (f" {UNITS[unit]}" if known else ""))
    return ", ".join(words)


def failures_sentence(name, manifest):
    """Returns the runs whose workload did less than was recorded, if any, the worst first."""
    found = manifest.get("failed_operations", {}).get(name)
    if not found:
        return ""
    runs = found["runs"]
    named = [f"{called(run['labels'])}: {run['operations']:,}" for run in runs[:RUNS_NAMED]]
    if len(runs) > RUNS_NAMED:
        named.append(f"{len(runs) - RUNS_NAMED} more")
    return (f"In {len(runs)} of {found['of']} runs operations failed that had succeeded when they were recorded, and "
            "the workload was cut "
            f"short ({'; '.join(named)}; the first: {runs[0]['first']}).")


def draw(name, data_directory, out, manifest, tried):
    """Draws one figure. Returns its picture files, and what the page shows of it."""
    module = importlib.import_module(f"analysis.figures.{name.replace('-', '_')}")
    table = load(data_directory, name, module.COLUMNS)
    claims = Claims(name)
    module.check(table, claims)
    plt = style.apply()
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    style.save(module.draw(plt, table), figures, name)
    picture = base64.b64encode((figures / f"{name}.png").read_bytes()).decode()
    return {"name": name, "title": module.TITLE, "caption": module.CAPTION, "notes": module.notes(table),
            "picture": picture, "says": scale_sentence(name, manifest), "seeds": seeds_sentence(name, manifest), "failures": failures_sentence(name, manifest),
            "claims": [{**c.as_dict(), "sensitivity": sensitivity.of_claim(tried, name, c.claim, c.holds)} for c in claims.rows]}


def counts(claims):
    """Returns what the head of the page says of all claims."""
    tried = [c["sensitivity"] for c in claims if c["sensitivity"]["survives"] is not None]
    uses = [found["read"] for found in tried if found["tried"] == 1]
    return {"total": len(claims), "held": sum(c["holds"] is True for c in claims),
            "fitted": sum(c["holds"] is True and c["claim"].startswith(FITTED) for c in claims),
            "unpublished": sum(c["known_how"] in ("", "H") for c in claims),
            "tried": len(tried), "robust": sum(found["survives"] for found in tried), "by_one": len(uses),
            "uses": " to ".join(map(str, sorted({min(uses), max(uses)}))) if uses else ""}


def render(pages, manifest, missing, tried):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    for page in pages:
        for number, claim in enumerate(page["claims"], 1):
            claim["id"] = f"{page['name']}-{number}"
    claims = [c for page in pages for c in page["claims"]]
    return environment.get_template("report.html.j2").render(
        failed=[c for c in claims if c["holds"] is False], counts=counts(claims),
        pages=pages, manifest=manifest, missing=missing, known_how=KNOWN_HOW, tried=tried)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="directory of NAME.csv")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where the report goes")
    parser.add_argument("--manifest", type=pathlib.Path, help="manifest.json of the runs, shown on the page")
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME",
                        help=f"of {', '.join(FIGURES)}")
    options = parser.parse_args(arguments)
    names = options.only or FIGURES
    manifest = json.loads(options.manifest.read_text()) if options.manifest else {}
    tried = sensitivity.load(options.data)
    pages = [draw(name, options.data, options.out, manifest, tried) for name in names]
    missing = [name for name in FIGURES if name not in names]
    claims = [c for page in pages for c in page["claims"]]
    write_whole(options.out / "claims.json", json.dumps(claims, indent=1, ensure_ascii=False) + "\n")
    write_whole(options.out / "report.html", render(pages, manifest, missing, tried is not None))
    held = sum(c["holds"] is True for c in claims)
    print(f"{options.out / 'report.html'}: {len(pages)} figure{'s' if len(pages) > 1 else ''}, {held} of "
          f"{len(claims)} claims hold")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DataError as error:
        print(f"report: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"report: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
