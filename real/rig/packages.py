"""Fetches what the rig boots from Debian's archive and unpacks it beside the build: nothing is installed."""
import lzma
import pathlib
import re
import subprocess
import zlib

# They are only downloaded and unpacked, since their install scripts would make this machine a Xen host.
UNPACKED = ("xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xen-utils-common", "xenstore-utils", "libxenmisc4.17")
KERNEL = "linux-image-amd64"  # a metapackage; the cloud kernel has no dom0 support


class RigError(Exception):
    """Says in one sentence which step failed and where to look."""


def run(command, what, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise RigError(f"{what}: '{' '.join(map(str, command[:3]))} …' failed: {last[0]}")
    return done.stdout


def kernel_package():
    text = run(["apt-cache", "depends", KERNEL], "finding the kernel's package")
    match = re.search(r"Depends: (linux-image-\S+)", text)
    if not match:
        raise RigError(f"{KERNEL} depends on no kernel: has 'apt-get update' been run?")
    return match.group(1)


def extract_vmlinux(image):
    """Returns the uncompressed kernel inside a bzImage. Xen's tools would unpack it too, but under emulation."""
    for magic, unpack in ((b"\xfd7zXZ\x00", lambda d: lzma.LZMADecompressor().decompress(d)),
                          (b"\x1f\x8b\x08", lambda d: zlib.decompressobj(31).decompress(d))):
        at = image.find(magic)
        while at >= 0:
            try:
                kernel = unpack(image[at:])
            except (lzma.LZMAError, zlib.error):
                kernel = b""
            if kernel.startswith(b"\x7fELF"):
                return kernel
            at = image.find(magic, at + 1)
    raise RigError("the kernel image holds no payload compressed with xz or gzip")


def prepare(directory):
    """Fetches and unpacks into `directory`/root, and makes `directory`/xen and /vmlinux. They are kept for the next
    time."""
    directory = pathlib.Path(directory)
    kernel = kernel_package()
    stamp, wanted = directory / "stamp", " ".join((*UNPACKED, kernel))
    if stamp.exists() and stamp.read_text() == wanted:
        return directory
    archive = directory / "archives"
    archive.mkdir(parents=True, exist_ok=True)
    for old in archive.glob("*.deb"):
        old.unlink()
    run(["apt-get", "download", "-o", "APT::Sandbox::User=root", *UNPACKED, kernel], "downloading Xen and a kernel", cwd=archive)
    root = directory / "root"
    for package in sorted(archive.glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(root)], f"unpacking {package.name}")
    (directory / "xen").write_bytes(zlib.decompressobj(31).decompress((root / "boot/xen-4.17-amd64.gz").read_bytes()))
    (image,) = sorted((root / "boot").glob("vmlinuz-*"))[-1:]
    (directory / "vmlinux").write_bytes(extract_vmlinux(image.read_bytes()))
    stamp.write_text(wanted)
    return directory
