#!/usr/bin/env python3
"""A real Xen in QEMU: boots hypervisor, dom0 and guests, runs a script there, says what held."""
import argparse
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import disk  # noqa: E402
import image  # noqa: E402
import machine  # noqa: E402
import packages  # noqa: E402
from packages import RigError  # noqa: E402


# In their order, with the seconds that each may take under emulation on a busy machine.
TESTS = {"pool": 120, "conformance": 300, "share": 300, "counter": 120, "deaths": 300, "hostile": 300}


# Which programs stand where, of those that were built.
DOM0_ONLY, GUEST_ONLY = ("xenfsd", "xenfsctl"), ("xenfs-mount",)


def build(directory, job, programs, tests=()):
    """dom0.cpio (with guest.cpio inside) for `job`, a script to be run in dom0."""
    unpacked = packages.prepare(directory)
    guest = image.Tree(directory / "guest", unpacked / "root")
    guest.add_modules(image.GUEST_MODULES)
    guest.add_program(unpacked / "root/usr/bin/xenstore", "bin/xenstore")
    guest.add_file(HERE / "init/guest.sh", "init", 0o755)
    dom0 = image.Tree(directory / "dom0", unpacked / "root")
    dom0.add_modules(image.DOM0_MODULES)
    for program in image.DOM0_PROGRAMS:
        dom0.add_program(unpacked / "root/usr" / program, f"usr/{program}")
    dom0.add_loaded_late()
    dom0.add_file(HERE / "init/dom0.sh", "init", 0o755)
    for script in ("rig-guest", "rig-boot", "rig-ready"):
        dom0.add_file(HERE / f"init/{script}.sh", f"bin/{script}", 0o755)
    dom0.add_file(job, "rig/job", 0o755)
    for script in (HERE / "tests").glob("*.sh"):
        dom0.add_file(script, f"rig/tests/{script.name}")
    (dom0.root / "rig/order").write_text("".join(f"{name} {TESTS[name]}\n" for name in tests))
    for program in programs:
        for tree, others in ((guest, DOM0_ONLY), (dom0, GUEST_ONLY)):
            if program.name not in others:
                tree.add_program(program, f"bin/{program.name}")
    guest.pack(directory / "guest.cpio")
    dom0.add_file(directory / "guest.cpio", "boot/guest.cpio")
    dom0.add_file(unpacked / "vmlinux", "boot/vmlinux")
    dom0.pack(directory / "dom0.cpio")
    disk.make(directory)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="lab xen", description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path, default=HERE.parent.parent / "build/xen",
                        help="where packages, images and logs go (default build/xen)")
    parser.add_argument("--guests", type=int, default=2, choices=range(0, 9), metavar="N", help="guests to boot (default 2)")
    parser.add_argument("--program", type=pathlib.Path, action="append", default=[], help="a program for dom0 and guests; repeatable")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run SCRIPT in dom0; 'rig-guest N COMMAND' there runs a command in guest N")
    run.add_argument("script", type=pathlib.Path)
    run.add_argument("--limit", type=int, default=None, metavar="S", help="seconds that the script may take (default 900)")
    test = commands.add_parser("test", help="what must hold on a real Xen, run in dom0 and two guests")
    test.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(TESTS)}")
    commands.add_parser("shell", help="dom0's prompt, with the guests running")
    options = parser.parse_args(arguments)

    if shutil.which("qemu-system-x86_64") is None:
        raise RigError("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86 seabios")
    job = {"run": getattr(options, "script", None), "test": HERE / "tests/run.sh"}.get(options.command, HERE / "init/rig-guest.sh")
    for path in (job, *options.program):
        if not path.is_file():
            raise RigError(f"{path}: no such file")
    tests = getattr(options, "names", None) or list(TESTS)
    for name in tests:
        if name not in TESTS:
            raise RigError(f"no test '{name}'; there are: {', '.join(TESTS)}")
    build(options.directory, job, options.program, tests)
    if options.command == "shell":
        return machine.shell(options.directory, guests=options.guests)
    result, lines, phases = machine.boot(options.directory, guests=options.guests, job_limit_s=getattr(options, "limit", None) or
                                         (60 + sum(TESTS[name] for name in tests) if options.command == "test" else None),
                                         show=lambda line: print(line, flush=True))
    outcome = f"exited {result}"
    if options.command == "test":
        held, failed, skipped = (sum(line.startswith(word) for line in lines) for word in ("ok: ", "FAILED: ", "skipped: "))
        outcome = f"{held} held, {failed} failed, {skipped} skipped"
        result = result or int(failed > 0 or held == 0)
    print(f"{job.name}: {outcome}, after {phases['powered-off']:.0f} s; console: {options.directory / 'console.log'}")
    return result


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RigError as error:
        print(f"lab xen: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
