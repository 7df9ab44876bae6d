#!/usr/bin/env python3
"""Boots a real Xen in QEMU with dom0 and guests, runs a script there, and says what held."""
import argparse
import json
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import disk  # noqa: E402
import image  # noqa: E402
import machine  # noqa: E402
import packages  # noqa: E402
import root  # noqa: E402
from packages import RigError  # noqa: E402


# These are the tests in their order: the seconds that each may take under emulation on a busy machine, and its
# programs.
TESTS = {"pool": (300, ("xenfs-probe",)),
         "conformance": (900, ("xenfs-conformance",)),
         "share": (600, ("xenfsd", "xenfs-mount")),
         "exports": (600, ("xenfsd", "xenfs-mount")),
         "counter": (400, ("xenfsd", "xenfs-mount", "xenfs-share-probe", "xenfs-plain-probe", "libxenfs-preload.so")),
         "deaths": (900, ("xenfsd", "xenfs-mount")),
         "hostile": (600, ("xenfsd", "xenfs-mount", "xenfs-hostile")),
         "small": (600, ("xenfsd", "xenfs-mount", "xenfs-small-files")),
         "large": (1500, ("xenfsd", "xenfs-mount")),
         "root": (1500, ("xenfsd", "xenfs-mount"))}
LONG = ("large", "root")  # with --long only, or by name
FULL_SIZES = {"LARGE_MIB": 2048, "SMALL_FILES": 100000, "LONG_SECONDS": 50000}  # what --full sets, in the environment of tests/lib.sh
# These programs go into one of the images; others go into both.
DOM0_ONLY = ("xenfsd", "xenfsctl")
GUEST_ONLY = ("xenfs-mount", "xenfs-share-probe", "xenfs-plain-probe", "libxenfs-preload.so", "xenfs-hostile", "xenfs-small-files")


def limit(name, full):
    return TESTS[name][0] * (40 if full else 1)


def sizes(full, given):
    """Returns what tests/*.sh take from their environment: with --full, and each NAME=N of --size over it."""
    wanted = dict(FULL_SIZES) if full else {}
    for text in given:
        name, equals, number = text.partition("=")
        if not equals or name not in FULL_SIZES or not re.fullmatch(r"[1-9][0-9]{0,8}", number):
            raise RigError(f"--size {text}: give NAME=N, a number from 1 on, with one of {', '.join(FULL_SIZES)}")
        wanted[name] = int(number)
    return ({"LONG_SECONDS": FULL_SIZES["LONG_SECONDS"]} | wanted) if wanted else {}


def build(directory, job, programs, tests=(), environment=None, script=None):
    """Makes dom0.cpio (with guest.cpio inside) for `job`, a script to be run in dom0; guests have `script`."""
    unpacked = packages.prepare(directory)
    guest = image.Tree(directory / "guest", unpacked / "root")
    guest.add_modules(image.GUEST_MODULES)
    guest.add_program(unpacked / "root/usr/bin/xenstore", "bin/xenstore")
    guest.add_file(HERE / "init/guest.sh", "init", 0o755)
    guest.add_file(HERE / "init/rig-commands.sh", "bin/rig-commands", 0o755)
    if script is not None:
        guest.add_file(script, "rig/script", 0o755)
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
    (dom0.root / "rig/order").write_text("".join(f"{name} {limit(name, bool(environment))}\n" for name in tests))
    for program in programs:
        for tree, others in ((guest, DOM0_ONLY), (dom0, GUEST_ONLY)):
            if program.name not in others:
                tree.add_program(program, f"bin/{program.name}")
    (dom0.root / "rig/environment").write_text("".join(f"{k}={v}\n" for k, v in (environment or {}).items()))
    guest.pack(directory / "guest.cpio")
    dom0.add_file(directory / "guest.cpio", "boot/guest.cpio")
    dom0.add_file(unpacked / "vmlinux", "boot/vmlinux")
    dom0.pack(directory / "dom0.cpio")
    if "root" in tests:
        root.prepare(directory, kernel=False)
        root.add_rig(directory / "debian", HERE, unpacked / "root")
        disk.make(directory, "large" in tests, directory / "debian")
    elif job.name in ("kernel-build.sh",):
        root.prepare(directory, kernel=True)
        root.add_rig(directory / "debian-kernel", HERE, unpacked / "root")
        disk.make_kernel(directory, directory / "debian-kernel")
    else:
        disk.make(directory, "large" in tests)


def collect(directory, lines, phases):
    """Keeps what a run leaves: directory/results has the console, each test's lines, the guests', and the phases'
    times."""
    results = directory / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    shutil.copy2(directory / "console.log", results)
    (results / "phases.json").write_text(json.dumps({name: round(at, 1) for name, at in phases.items()}, indent=1) + "\n")
    name = "job"
    for line in lines:
        guest = re.match(r"@guest (\S+): (.*)", line)
        if line.startswith("== "):
            name = line[3:].strip()
        with open(results / f"{guest.group(1) if guest else name}.log", "a", encoding="utf-8") as log:
            log.write((guest.group(2) if guest else line) + "\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="lab xen", description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path, default=HERE.parent.parent / "build/xen",
                        help="where packages, images and logs go (default build/xen)")
    parser.add_argument("--guests", type=int, default=2, choices=range(0, 9), metavar="N", help="guests to boot (default 2)")
    parser.add_argument("--cpus", type=int, default=2, choices=range(1, 17), metavar="N",
                        help="processors that Xen has (default 2); emulation takes as many threads of this machine")
    parser.add_argument("--program", type=pathlib.Path, action="append", default=[], help="one more program for dom0 and guests; repeatable")
    parser.add_argument("--bin", type=pathlib.Path, default=HERE.parent.parent / "build/release/bin",
                        help="where the project's programs are")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run SCRIPT in dom0, where 'rig-guest N COMMAND' runs a command in guest N, or in a guest")
    run.add_argument("--in", dest="place", default="dom0", metavar="DOMAIN", help="dom0 (the default), guest1, guest2 and so on")
    run.add_argument("script", type=pathlib.Path)
    run.add_argument("--limit", type=int, default=None, metavar="S", help="seconds that the script may take (default 900)")
    test = commands.add_parser("test", help="what must hold on a real Xen, run in dom0 and two guests")
    test.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(TESTS)}")
    test.add_argument("--long", action="store_true", help="also what takes more than a few minutes under emulation")
    test.add_argument("--full", action="store_true", help="files as large and as many as a real machine would have; hours under emulation")
    test.add_argument("--size", action="append", default=[], metavar="NAME=N",
                      help="another size: LARGE_MIB (192, with --full 2048), SMALL_FILES a guest (200, 100000); repeatable")
    kernel = commands.add_parser("kernel-build", help="build Linux tinyconfig in a guest that boots from a XenFS root; "
                                 "more than an hour under emulation, a build that was broken off goes on")
    kernel.add_argument("--fresh", action="store_true", help="begin anew")
    kernel.add_argument("--limit", type=int, default=6 * 3600, metavar="S", help="seconds that it may take (default six hours)")
    commands.add_parser("shell", help="dom0's prompt, with the guests running")
    options = parser.parse_args(arguments)
    options.directory = options.directory.resolve()  # apt takes what is relative from a place of its own

    if shutil.which("qemu-system-x86_64") is None:
        raise RigError("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86 seabios")
    job = {"run": getattr(options, "script", None), "test": HERE / "tests/run.sh", "kernel-build": HERE / "tests/kernel-build.sh"}.get(options.command, HERE / "init/rig-guest.sh")
    script = None
    if getattr(options, "place", "dom0") != "dom0":
        match = re.fullmatch(r"guest([1-9])", options.place)
        if not match or int(match.group(1)) > options.guests:
            raise RigError(f"--in {options.place}: give dom0" + "".join(f", guest{n + 1}" for n in range(options.guests)))
        script, job = job, HERE / "tests/in-guest.sh"
    for path in (script or job, *options.program):
        if not path.is_file():
            raise RigError(f"{path}: no such file")
    tests = getattr(options, "names", None) or [name for name in TESTS if name not in LONG or getattr(options, "long", False)]
    for name in tests:
        if name not in TESTS:
            raise RigError(f"no test '{name}'; there are: {', '.join(TESTS)}")
    known = {name for _, needed in TESTS.values() for name in needed} | {"xenfsctl"}
    programs = [options.bin / name for name in sorted(known) if (options.bin / name).is_file()]
    for name in list(tests):
        missing = [program for program in TESTS[name][1] if options.bin / program not in programs]
        if missing:
            print(f"skipped: {name}: {', '.join(missing)} was not built")
            tests.remove(name)
    environment = sizes(getattr(options, "full", False), getattr(options, "size", []))
    if getattr(options, "fresh", False):
        (options.directory / "kernel-disk").unlink(missing_ok=True)
    if script is not None:
        environment.update(NUMBER=options.place[5:], RIG_GUEST_SECONDS=options.limit or machine.LIMITS["job"])
    job_s = 60 + sum(limit(name, bool(environment)) for name in tests)
    build(options.directory, job, programs + options.program, tests, environment, script)
    extra = {"cpus": options.cpus}
    if options.command == "kernel-build":
        extra |= {"disk": "kernel-disk", "memory_mib": 5120, "dom0_memory_mib": 1024}
    if options.command == "shell":
        return machine.shell(options.directory, guests=options.guests, **extra)
    guests = 1 if options.command == "kernel-build" else options.guests
    result, lines, phases = machine.boot(options.directory, guests=guests, job_limit_s=getattr(options, "limit", None) or
                                         (job_s if options.command == "test" else None),
                                         show=lambda line: print(line, flush=True), **extra)
    collect(options.directory, lines, phases)
    outcome = f"exited {result}"
    if options.command == "test":
        held, failed, skipped = (sum(line.startswith(word) for line in lines) for word in ("ok: ", "FAILED: ", "skipped: "))
        outcome = f"{held} held, {failed} failed, {skipped} skipped"
        result = result or int(failed > 0 or held == 0)
    print(f"{(script or job).name}: {outcome}, after {phases['powered-off']:.0f} s; "
          f"logs and figures: {options.directory / 'results'}")
    return result


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RigError as error:
        print(f"lab xen: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
