"""dom0's disk: an ext4 file system with something to read."""
import hashlib
import pathlib
import random
import shutil

from packages import run

SIZE_MIB = 4096  # sparse
BIG_MIB, SMALL_FILES = 2, 30  # a request takes 10 ms under emulation, and 200 ms on a busy machine


def fill(tree):
    """Files of known contents, the same in every run."""
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "export/many").mkdir(parents=True)
    generator = random.Random(4096)
    (tree / "export/big").write_bytes(generator.randbytes(BIG_MIB << 20))
    for number in range(SMALL_FILES):
        (tree / f"export/many/{number}").write_bytes(generator.randbytes(generator.randrange(1, 20000)))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree / 'export')}\n"
            for path in sorted((tree / "export").rglob("*")) if path.is_file()]
    (tree / "export/stable-sums").write_text("".join(sums))


def make(directory):
    """directory/disk, anew."""
    tree, image = pathlib.Path(directory) / "tree", pathlib.Path(directory) / "disk"
    fill(tree)
    image.unlink(missing_ok=True)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "root_owner=0:0", "-d", str(tree), str(image), f"{SIZE_MIB}M"],
        "making dom0's disk")
