import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ._core import InputError as InputError
from ._core import RunError as RunError
from ._core import parse_size as parse_size
from ._core import parse_time as parse_time
from ._core import schema_markdown as schema_markdown

__all__ = ["Cost", "InputError", "Result", "RunError", "canonical", "capture_info", "costs", "names",
           "parse_size", "parse_time", "replay", "replay_trace", "run", "schema_markdown"]

_Scalar = int | float | str
_Source = str | os.PathLike[str] | Mapping[str, Any]
_Overrides = Mapping[str, Any] | Sequence[str] | None

@dataclass(frozen=True)
class Result:
    origin: dict[str, Any]
    settings: dict[str, str]
    metrics: dict[str, _Scalar]
    guests: list[dict[str, _Scalar]]
    tables: dict[str, dict[str, numpy.ndarray[Any, Any]]]
    json: str
    timeline: str
    times: dict[str, float]
    @property
    def series(self) -> dict[str, numpy.ndarray[Any, Any]]: ...

@dataclass(frozen=True)
class Cost:
    name: str
    value: float
    low: float
    high: float
    unit: str
    known: str
    source: str

def run(scenario: _Source, overrides: _Overrides = None, seed: int | None = None, timeline: bool = False) -> Result: ...
def canonical(scenario: _Source, overrides: _Overrides = None, seed: int | None = None) -> str: ...
def names() -> dict[str, list[str]]: ...
def costs() -> dict[str, Cost]: ...
def capture_info(file: str | os.PathLike[str]) -> dict[str, Any]: ...
def replay(pages: Any, cache_pages: int, eviction: str = "lru") -> numpy.ndarray[Any, Any]: ...
def replay_trace(file: str | os.PathLike[str], format: str, cache_pages: int, eviction: str = "lru") -> dict[str, Any]: ...
