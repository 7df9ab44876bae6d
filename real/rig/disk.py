"""Makes dom0's disk, an ext4 file system with something to read."""
import hashlib
import os
import pathlib
import random
import shutil

from packages import run

SIZE_MIB = 6144  # sparse
BIG_MIB, SMALL_FILES = 2, 30  # a request takes 10 ms under emulation, and 200 ms on a busy machine


def add_tools(tree):
    """Puts fio and its libraries there, since a guest's initial file system is too small for it: guests run it from the
    mount."""
    (tree / "lib").mkdir(parents=True)
    shutil.copy2("/usr/bin/fio", tree)
    for line in run(["ldd", "/usr/bin/fio"], "looking at fio").splitlines():
        for word in line.split():
            if word.startswith("/") and "ld-linux" not in word:
                shutil.copy2(os.path.realpath(word), tree / "lib" / os.path.basename(word))


def fill(tree, tools):
    """Makes files of known contents, the same in every run."""
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "export/many").mkdir(parents=True)
    generator = random.Random(4096)
    (tree / "export/big").write_bytes(generator.randbytes(BIG_MIB << 20))
    for number in range(SMALL_FILES):
        (tree / f"export/many/{number}").write_bytes(generator.randbytes(generator.randrange(1, 20000)))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree / 'export')}\n"
            for path in sorted((tree / "export").rglob("*")) if path.is_file()]
    if tools:
        add_tools(tree / "export/tools")
    (tree / "export/stable-sums").write_text("".join(sums))


def format_image(tree, image):
    """Makes an ext4 file system of what lies under `tree`, whose own directory is not part of it."""
    image.unlink(missing_ok=True)
    # It gets a name of its own first, so that an interruption leaves nothing that looks whole.
    unfinished = image.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-N", "400000", "-E", "root_owner=0:0", "-d", str(tree), str(unfinished), f"{SIZE_MIB}M"],
        "making dom0's disk")
    unfinished.rename(image)


def make(directory, tools, root=None):
    """Makes directory/disk anew: /export, and as /root what guests boot from, where it is given."""
    directory = pathlib.Path(directory)
    fill(directory / "tree", tools)
    if root is not None:
        run(["cp", "-al", str(root), str(directory / "tree/root")], "adding what guests boot from")
    format_image(directory / "tree", directory / "disk")


def make_kernel(directory, root):
    """Makes directory/kernel-disk where it is not there yet; an interrupted build is continued."""
    image = directory / "kernel-disk"
    if image.exists():
        return
    tree = directory / "kernel-tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    run(["cp", "-al", str(root), str(tree / "root")], "adding what guests boot from")
    format_image(tree, image)
    shutil.rmtree(tree)
