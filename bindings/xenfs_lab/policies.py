"""Policies in Python: a class with a name becomes a policy of that name, everywhere.

    from xenfs_lab.policies import EvictionPolicy

    class Mine(EvictionPolicy, name="mine"):
        ...

Put the file into experiments/policies/ (or into a directory named in XENFS_POLICIES, several with
":" between them) and "mine" is a value of arm.eviction in scenarios and sweeps, of --eviction, and
is listed by `./lab sim list` and --help. Slower than C++ by one to two orders of magnitude: for
exploring. What a method raises ends the run with its text.
"""
import abc
import importlib.util
import inspect
import os
import pathlib

from . import _core

__all__ = ["EvictionPolicy", "TransferPolicy", "load"]


class _Policy(abc.ABC):
    def __init_subclass__(cls, name=None, **rest):
        super().__init_subclass__(**rest)
        if name is None:
            return
        if not isinstance(name, str) or not name:
            raise TypeError(f"{cls.__name__}: name = {name!r}: a policy's name is a word")
        missing = sorted(m for m in dir(cls) if getattr(getattr(cls, m, None), "__isabstractmethod__", False))
        if missing:
            raise TypeError(f"{cls.__name__}: lacks {', '.join(missing)}")
        cls.name = name
        _core.add_policy(cls.kind, name, cls)


class EvictionPolicy(_Policy):
    """Orders the pages of one cache by which should leave first.

    A page is known by its slot, a small int that is used again later; its key is file << 32 | page.
    The policy holds a page from insert (or restore) until take_victim or remove.
    """

    kind = "eviction"

    def attach(self, capacity_pages):
        """Tells the cache's size, before all other calls."""

    def set_capacity(self, capacity_pages):
        """Tells that the cache's size has changed."""

    def missed(self, key):
        """The key is not cached and will be inserted; called before room is made for it."""

    @abc.abstractmethod
    def insert(self, slot, key):
        """Adds a page."""

    @abc.abstractmethod
    def touch(self, slots):
        """Tells of held pages that were hit, in order; a slot may occur more than once."""

    @abc.abstractmethod
    def take_victim(self):
        """Chooses the page that should leave, removes it from the policy and returns its slot; None if it holds
        none."""

    def evicted(self, slot, key):
        """Tells that the victim has left, so that a ghost can be kept. (restore may come instead.)"""

    @abc.abstractmethod
    def restore(self, slot):
        """Takes the victim back, which could not leave (pinned or dirty), as the next to leave."""

    @abc.abstractmethod
    def remove(self, slot):
        """Forgets a held page that was dropped, since its file was truncated or removed."""


class TransferPolicy(_Policy):
    """Decides how pages travel between the shared cache and a guest.

    self.costs  what the host says of its mechanisms: hypercall_ns, map_page_ns, unmap_page_ns,
                unmap_flush_ns (one batch), copy_page_ns, flip_page_ns, load_page_ns, round_trip_ns
    """

    kind = "transfer"
    costs: dict[str, int] = {}

    @abc.abstractmethod
    def decide(self, use, pages, expected_uses, copy_is_kept):
        """"copy", "map" or "flip" for a request.

        use            "read" or "write"; what a program maps is always mapped
        pages          in this request
        expected_uses  of each page while the guest could keep it, this time included
        copy_is_kept   a copy would stay in a frame of the guest
        """


def load(directories=None):
    """Imports the policy files of `directories` (of XENFS_POLICIES if None). Returns their paths.

    An error in one is an ImportError that names the file and line.
    """
    if directories is None:
        directories = [d for d in os.environ.get("XENFS_POLICIES", "").split(":") if d]
    loaded = []
    for directory in map(pathlib.Path, directories):
        for file in sorted(directory.glob("*.py")):
            if file.resolve() in _loaded:
                continue
            spec = importlib.util.spec_from_file_location(f"xenfs_lab_policy_{file.stem}", file)
            try:
                spec.loader.exec_module(importlib.util.module_from_spec(spec))
            except Exception as error:
                raise ImportError(f"{file}{_line_of(error, file)}: {type(error).__name__}: {error}") from error
            _loaded.add(file.resolve())
            loaded.append(file)
    return loaded


_loaded: set[pathlib.Path] = set()


def _line_of(error, file):
    lines = [frame.lineno for frame in inspect.getinnerframes(error.__traceback__)
             if frame.filename == str(file)] if error.__traceback__ else []
    return f":{lines[-1]}" if lines else ""
