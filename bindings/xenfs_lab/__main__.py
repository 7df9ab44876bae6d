"""Runs the program xenfs-sim with the Python policies of XENFS_POLICIES, as `./lab sim` does."""
import signal
import sys

from . import _core, policies


def main():
    # The simulator runs in C++: an interrupt ends it at once, as it does the program itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        policies.load()
    except ImportError as error:
        print(f"xenfs-sim: {error}", file=sys.stderr)
        return 2
    return _core.cli(["lab sim", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
