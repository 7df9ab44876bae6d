"""Makes the root file system that guests boot from: Debian's packages with a compiler, unpacked and never installed."""
import shutil
import subprocess

from image import Tree
from packages import RigError, run

# apt adds what these depend on, down to libc. `tools` compile a program, `kernel` a Linux as well.
PACKAGES = {"tools": ("gcc", "libc6-dev", "zlib1g-dev", "make", "dash", "coreutils", "findutils", "grep", "sed", "mawk",
                      "diffutils", "gzip", "procps"),
            "kernel": ("bc", "flex", "bison", "libelf-dev", "libssl-dev", "perl-base", "tar", "xz-utils", "linux-source-6.1")}
# Install scripts would have made these.
LINKS = {"usr/bin/sh": "dash", "usr/bin/awk": "mawk", "usr/bin/cc": "gcc", "usr/bin/lex": "flex", "usr/bin/yacc": "bison.yacc"}
SOURCE = "usr/src/linux-source-6.1.tar.xz"


def fetch(directory, wanted):
    """Downloads `wanted` and what it depends on as if nothing were installed here. Returns the files."""
    archive = directory / "root-archives"
    (archive / "partial").mkdir(parents=True, exist_ok=True)
    nothing = directory / "no-packages"
    nothing.write_text("")
    options = ["-o", f"Dir::State::status={nothing}", "-o", f"Dir::Cache::archives={archive}", "-o", "APT::Sandbox::User=root",
               "-o", "Debug::NoLocking=1", "-y", "-q", "--no-install-recommends"]
    run(["apt-get", *options, "-d", "install", *wanted], "downloading what guests boot from")
    names = [line.split()[1].strip("'") for line in
             run(["apt-get", *options, "--print-uris", "--reinstall", "-o", "Dir::Cache::archives=/nonexistent", "install", *wanted],
                 "asking what guests boot from").splitlines() if line.startswith("'")]
    return [archive / name for name in names]


def unpack(package, root):
    """Copies over links such as lib -> usr/lib, which dpkg-deb itself would replace."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as source:
        done = subprocess.run(["tar", "-x", "--keep-directory-symlink", "--exclude=./usr/share/doc/*.gz", "--exclude=./usr/share/locale",
                               "--exclude=./usr/share/man", "--exclude=./usr/share/info", "-C", str(root)],
                              stdin=source.stdout, capture_output=True, text=True)
    if done.returncode != 0 or source.returncode != 0:
        raise RigError(f"unpacking {package.name}: {done.stderr.strip()[-200:] or 'dpkg-deb failed'}")


def prepare(directory, kernel):
    """Makes directory/debian or directory/debian-kernel (with Linux's source in /usr/src/linux). It is kept for the
    next time."""
    root = directory / ("debian-kernel" if kernel else "debian")
    wanted = PACKAGES["tools"] + (PACKAGES["kernel"] if kernel else ())
    stamp = root.with_suffix(".stamp")
    if stamp.exists() and stamp.read_text() == " ".join(wanted):
        return root
    stamp.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in fetch(directory, wanted):
        unpack(package, root)
    for link, target in LINKS.items():
        if (root / "usr/bin" / target).exists() and not (root / link).exists():
            (root / link).symlink_to(target)
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "mnt", "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    if kernel:
        (root / "usr/src/linux").mkdir()
        run(["tar", "-x", "-f", str(root / SOURCE), "--strip-components=1", "-C", str(root / "usr/src/linux")], "unpacking Linux's source")
        (root / SOURCE).unlink()
    stamp.write_text(" ".join(wanted))
    return root


def add_rig(root, here, unpacked):
    """Adds what the rig needs there once a guest has switched to it: the loop that takes dom0's commands."""
    tree = Tree(root, unpacked, fresh=False)
    tree.add_program(unpacked / "usr/bin/xenstore", "usr/bin/xenstore")
    tree.add_file(here / "init/rig-commands.sh", "sbin/rig-commands", 0o755)
