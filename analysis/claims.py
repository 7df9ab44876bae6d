"""A claim is a sentence about a figure, checked by code, beside what was published.

`known_how` says how the published value is known: V (read in the source itself), A (its abstract or
opening only), M (from memory), D (derived from a V), H (not published: measured here), or none where nothing was
published. A claim that starts with "fitted:" states to what a constant was fitted: it holds by construction.
"""
import dataclasses
import math

KNOWN_HOW = {"V": "read in the source", "A": "abstract only", "M": "from memory, not read",
             "D": "derived from a source that was read", "H": "measured here", "": "nothing published"}
FITTED = "fitted:"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One row of claims.json. `holds` is None where the data to decide it are missing."""
    figure: str
    claim: str
    published: str
    source: str
    known_how: str
    simulated: str
    holds: bool | None

    def __post_init__(self):
        if self.known_how not in KNOWN_HOW:
            raise ValueError(f"claim '{self.claim}': known_how '{self.known_how}' is none of "
                             f"{', '.join(k or 'empty' for k in KNOWN_HOW)}")

    def as_dict(self):
        return dataclasses.asdict(self)


class Claims:
    """Collects the claims of one figure: `claims.check("…", holds=…, simulated=…, …)`."""

    def __init__(self, figure):
        self.figure = figure
        self.rows = []

    def check(self, claim, holds, simulated, published="", source="", known_how=""):
        if isinstance(holds, float) and math.isnan(holds):
            holds = None
        self.rows.append(Claim(self.figure, claim, published, source, known_how, simulated,
                               None if holds is None else bool(holds)))


def signed(value, digits=0):
    """Prints a difference with its sign, and with a minus that is no hyphen."""
    text = f"{value:+,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text[1:]
