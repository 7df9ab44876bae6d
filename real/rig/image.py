"""Makes the initial file systems of dom0 and of the guests: plain trees, packed as cpio."""
import os
import pathlib
import shutil
import subprocess

from packages import RigError, run

DOM0_PROGRAMS = ("lib/xen-4.17/bin/xenstored", "lib/xen-4.17/bin/xenconsoled", "lib/xen-4.17/bin/xen-init-dom0",
                 "lib/xen-4.17/bin/xenconsole", "lib/xen-4.17/bin/xl", "bin/xenstore")
DOM0_MODULES = ("xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "virtio_pci", "virtio_blk", "ext4",
                "crc32c_generic")
GUEST_MODULES = ("xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "fuse")


class Tree:
    """A root file system in the making. `fresh` starts from busybox alone, otherwise what is there is added to."""

    def __init__(self, directory, unpacked, fresh=True):
        self.root = pathlib.Path(directory)
        self.unpacked = pathlib.Path(unpacked)
        if not fresh:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("bin", "sbin", "dev", "proc", "sys", "tmp", "run", "etc", "root", "modules", "rig",
                     "usr/bin", "usr/lib", "lib", "lib64", "var/lib", "var/log"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        busybox = self.root / "bin/busybox"
        shutil.copy2("/bin/busybox", busybox)
        for applet in run([str(busybox), "--list"], "listing busybox's applets").split():
            link = self.root / "bin" / applet
            if not link.exists():
                link.symlink_to("busybox")

    def add_file(self, source, target, mode=None):
        path = self.root / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, path)
        if mode is not None:
            path.chmod(mode)

    def add_program(self, source, target):
        """Adds a program and the libraries that ldd names, where the loader looks for them."""
        self.add_file(source, target, 0o755)
        done = subprocess.run(["ldd", str(source)], capture_output=True, text=True)
        if done.returncode != 0:  # static
            return
        for line in done.stdout.splitlines():
            words = line.split()
            if "not found" in line:
                raise RigError(f"{source} needs {words[0]}, which is not on this machine")
            paths = [w for w in words if w.startswith("/")]
            if paths and not (self.root / paths[0].lstrip("/")).exists():
                self.add_file(os.path.realpath(paths[0]), paths[0], 0o755)

    def add_loaded_late(self):
        """Adds what glibc opens by name only when a thread is cancelled, as xl does."""
        for path in ("/lib/x86_64-linux-gnu/libgcc_s.so.1",):
            if not (self.root / path.lstrip("/")).exists():
                self.add_file(os.path.realpath(path), path, 0o755)

    def add_modules(self, names):
        """Adds kernel modules with what they need; modules/order says in which order to load them."""
        files = {path.stem.replace("-", "_"): path for path in (self.unpacked / "lib/modules").rglob("*.ko")}
        order = []

        def add(name):
            key = name.replace("-", "_")
            if key in order:
                return
            if key not in files:
                raise RigError(f"the kernel's package has no module {name}")
            for needed in run(["modinfo", "-F", "depends", str(files[key])], f"asking what {name} needs").strip().split(","):
                if needed:
                    add(needed)
            order.append(key)
            self.add_file(files[key], f"modules/{key}.ko")

        for name in names:
            add(name)
        (self.root / "modules/order").write_text("".join(f"{name}\n" for name in order))

    def pack(self, target):
        """Writes the tree as an uncompressed cpio archive: the emulator would take long to unpack it."""
        listing = "\n".join(sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*"))) + "\n"
        with open(target, "wb") as out:
            done = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=self.root, stdout=out,
                                  stderr=subprocess.PIPE, input=listing.encode())
        if done.returncode != 0:
            raise RigError(f"packing {target}: {done.stderr.decode().strip()}")
