"""Tells how each claim fared with one cost constant changed, from data/sensitivity-claims.csv."""
import pathlib

import pandas

from analysis.data import DataError

COLUMNS = ("figure", "claim", "constant", "unit", "low", "high", "here", "known", "end", "value", "holds", "simulated", "constants_read")
SEED = "seed"
NOT_TRIED = {"tried": 0, "read": None, "survives": None, "text": "not tried in this run"}
ITSELF = {**NOT_TRIED, "text": "this claim is itself about the constants' ranges"}
HEADLINE = "sensitivity"
NAMED = 3  # turning constants that the page names; claims.json has them all


def load(directory):
    """Returns the table, or None where no sensitivity runs were made."""
    path = pathlib.Path(directory) / "sensitivity-claims.csv"
    if not path.exists():
        return None
    try:
        table = pandas.read_csv(path, keep_default_na=True, dtype={"constant": str, "unit": str, "known": str})
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table: {error}") from None
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}")
    table[["constant", "unit", "known"]] = table[["constant", "unit", "known"]].fillna("")
    table["holds"] = [None if pandas.isna(holds) else str(holds) == "True" for holds in table.holds]
    table["holds"] = table.holds.astype(object)
    return table


def number(value):
    """Prints three digits, or four of a whole number, since such a value is not known more exactly."""
    return f"{value:g}" if value == int(value) else f"{float(f'{value:.3g}'):g}"


def readable(unit):
    """Returns a unit of the cost model's file as it is printed."""
    return {"us": "µs", "count": ""}.get(unit, unit)


def turns(rows, verdict):
    """For one constant: (value on this side, value on the other) nearest to the value in use, on either side; None: none."""
    here, found = rows.here.iloc[0], []
    for side in (rows[rows.value < here], rows[rows.value > here]):
        before = here
        for row in side.assign(far=(side.value - here).abs()).sort_values("far").itertuples():
            if isinstance(row.holds, bool) and row.holds != verdict:
                found.append((before, row.value))
                break
            before = row.value
    return found


def of_claim(table, figure, claim, holds):
    """Returns what claims.json and the page say of a claim's sensitivity."""
    if figure == HEADLINE:
        return ITSELF
    if table is None:
        return NOT_TRIED
    rows = table[(table.figure == figure) & (table.claim == claim)]
    base = rows[rows.end == "here"]
    if base.empty:
        return NOT_TRIED
    verdict, read = base.holds.iloc[0], int(base.constants_read.iloc[0])
    verdict = None if verdict is None else bool(verdict)
    varied = rows[(rows.end != "here") & (rows.constant != SEED)]
    tried = varied.constant.nunique()
    out = {"tried": tried, "read": read, "survives": None, "turned_by": [], "not_run": []}
    if not isinstance(verdict, bool) or verdict != holds:
        small = "does not hold" if verdict is False else "holds" if verdict is True else "is not decided"
        return {**out, "text": f"not known: in the smaller runs made for it the claim {small}"}
    for name, one in varied.groupby("constant"):
        if one.holds.isna().any():
            out["not_run"].append(name)
        for last, first in turns(one, verdict):
            row = one.iloc[0]
            out["turned_by"].append({"constant": name, "unit": row.unit, "here": float(row.here), "low": float(row.low),
                                     "high": float(row.high), "known": row.known,
                                     "turns_between": sorted([float(last), float(first)])})
    seeds = rows[rows.constant == SEED]
    out["other_seed"] = None if seeds.empty else bool((seeds.holds == verdict).all())
    out["survives"] = not out["turned_by"] and not out["not_run"]
    return {**out, "text": sentence(out, verdict)}


def closeness(turn):
    """Returns how small a part of the way to the range's end changes the verdict: the smaller, the more fragile the
    claim."""
    inner = min(abs(v - turn["here"]) for v in turn["turns_between"])
    far = max(abs(v - turn["here"]) for v in turn["turns_between"])
    reach = max(abs(turn["low"] - turn["here"]), abs(turn["high"] - turn["here"]))
    return (inner + far) / reach if reach else 0


def turning(turns):
    """Describes one constant and where in its range the verdict differs: "xen.flip turns it somewhere between 1.1 and
    1.15 µs (used: 1.5; range 0.8 to 4)"."""
    one = turns[0]
    unit = f" {readable(one['unit'])}".rstrip()
    where = " and ".join("somewhere between {} and {}{}".format(*map(number, turn["turns_between"]), unit)
                         for turn in sorted(turns, key=lambda turn: turn["turns_between"]))
    mark = f" [{one['known']}]" if one["known"] in ("M", "A") else ""
    return (f"{one['constant']}{mark} turns it {where} (used: {number(one['here'])}; "
            f"range {number(one['low'])} to {number(one['high'])})")


def constants_of(found, left=None):
    """Says over which constants the verdict stands: all that were tried, or the `left` that do not turn it."""
    tried, read = found["tried"], found["read"]
    whole = "that its runs use" if tried == read else "tried"
    if left is not None:
        text = f"the other {left if left > 1 else 'one'} of the {tried} cost constants {whole}"
    elif tried == 1:
        text = f"the one cost constant {whole}"
    else:
        text = f"{'each of ' if tried == read else ''}the {tried} cost constants {whole}"
    return text if tried == read else f"{text} (its runs use {read})"


def sentence(found, verdict):
    state = "holds" if verdict else "does not hold"
    names = {turn["constant"] for turn in found["turned_by"]}
    if not names and not found["tried"]:
        text = "no cost constant was tried"
    elif not names:
        text = f"{state} at both ends of the range of {constants_of(found)}"
    else:
        ordered = sorted(found["turned_by"], key=closeness)
        named = list(dict.fromkeys(turn["constant"] for turn in ordered))
        parts = [turning([turn for turn in ordered if turn["constant"] == name]) for name in named[:NAMED]]
        if len(named) > NAMED:
            parts.append(f"{len(named) - NAMED} more turn it" if len(named) > NAMED + 1 else "one more turns it")
        left = found["tried"] - len(names) - len(set(found["not_run"]) - names)
        text = f"{'; '.join(parts)}"
        if left > 0:
            text += f"; it {state} at both ends of the range of {constants_of(found, left)}"
    if found["not_run"]:
        text += f"; could not be run at an end of {', '.join(found['not_run'])}"
    if found.get("other_seed") is False:
        text += "; another seed turns it"
    return text
