"""Tests what of the rig's command line reaches the tests, and what it starts. Nothing is booted."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import machine  # noqa: E402
import rig  # noqa: E402
from packages import RigError  # noqa: E402


def test_sizes_come_from_full_and_from_size():
    assert rig.sizes(False, []) == {}
    assert rig.sizes(True, []) == rig.FULL_SIZES
    assert rig.sizes(False, ["SMALL_FILES=5000"]) == {"SMALL_FILES": 5000, "LONG_SECONDS": 50000}
    assert rig.sizes(True, ["LARGE_MIB=512", "LARGE_MIB=64"])["LARGE_MIB"] == 64
    assert rig.sizes(True, ["LARGE_MIB=512"])["SMALL_FILES"] == rig.FULL_SIZES["SMALL_FILES"]


@pytest.mark.parametrize("word", ["SMALL_FILES", "SMALL_FILES=", "SMALL_FILES=0", "SMALL_FILES=-1", "SMALL_FILES=ten",
                                  "SMALL_FILES=1234567890", "OTHER=3", "=3", "LARGE_MIB=1;reboot"])
def test_a_wrong_size_is_named(word):
    with pytest.raises(RigError, match="--size .*LARGE_MIB, SMALL_FILES"):
        rig.sizes(False, [word])


def test_names_of_sizes_are_those_that_the_tests_read():
    text = "".join(path.read_text() for path in (rig.HERE / "tests").glob("*.sh"))
    for name in rig.FULL_SIZES:
        assert "${" + name + ":-" in text, name


def test_a_limit_grows_with_the_sizes():
    assert rig.limit("small", True) > rig.limit("small", False) > 0
    assert all((rig.HERE / f"tests/{name}.sh").is_file() for name in rig.TESTS)


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_qemu_has_the_processors_and_the_disk_asked_for(tmp_path, cpus):
    command = machine.qemu_command(tmp_path, 512, {"rig_guests": 2}, 256, disk="kernel-disk", cpus=cpus)
    assert command[command.index("-smp") + 1] == str(cpus)
    assert f"file={tmp_path}/kernel-disk,format=raw,if=none,id=disk" in command
    assert any(word.startswith(f"{tmp_path}/vmlinux ") and "rig_guests=2" in word for word in command)


@pytest.mark.parametrize("words, why", [
    (["test", "nonsense"], "no test 'nonsense'"),
    (["test", "small", "--size", "SMALL_FILES=many"], "--size SMALL_FILES=many"),
    (["run", "/nonexistent/script"], "/nonexistent/script: no such file"),
    (["run", "--in", "guest3", __file__], "--in guest3: give dom0, guest1, guest2"),
    (["run", "--in", "nowhere", __file__], "--in nowhere: give dom0"),
])
def test_wrong_words_are_refused_before_anything_is_made(tmp_path, monkeypatch, words, why):
    monkeypatch.setattr(rig.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(RigError, match=why):
        rig.main(["--directory", str(tmp_path / "xen"), "--bin", str(tmp_path), *words])
    assert not (tmp_path / "xen").exists()
