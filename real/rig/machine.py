"""Boots Xen in QEMU and follows its console. Every phase has a bounded wait, and a failure names its phase."""
import os
import pathlib
import re
import select
import subprocess
import sys
import time

from packages import RigError

# These are the seconds that a phase may take under emulation: some thirty times what it takes on an idle machine, since
# one with ten busy processes a core has been seen to take ten times as long.
LIMITS = {"xen": 120, "dom0-kernel": 200, "dom0-userspace": 300, "xenstored": 200, "guest-created": 200, "guest-ready": 400, "job": 900}


def qemu_command(directory, memory_mib, kernel_words, dom0_memory_mib, accelerator="tcg", disk="disk", cpus=2):
    words = " ".join(f"{k}={v}" for k, v in kernel_words.items())
    acceleration = {"tcg": ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "qemu64,+rdrand"],
                    "kvm": ["-accel", "kvm", "-cpu", "host"]}[accelerator]
    return ["qemu-system-x86_64", *acceleration, "-smp", str(cpus), "-m", str(memory_mib), "-nographic", "-no-reboot",
            "-drive", f"file={directory / disk},format=raw,if=none,id=disk",
            "-device", "virtio-blk-pci,drive=disk,disable-legacy=on,iommu_platform=on",
            "-nic", "none", "-vga", "none", "-kernel", str(directory / "xen"),
            "-initrd", f"{directory / 'vmlinux'} console=hvc0 quiet mitigations=off {words},{directory / 'dom0.cpio'}",
            "-append", f"dom0_mem={dom0_memory_mib}M,max:{dom0_memory_mib + 64}M dom0_max_vcpus=1 com1=115200,8n1 "
                       "console=com1 spec-ctrl=no gnttab_max_frames=1024"]


class Console:
    """QEMU's output, line by line, which is also kept in a log file."""

    def __init__(self, process, log):
        self.process, self.log, self.pending = process, log, b""

    def line(self, deadline):
        """Returns the next line, or None when the console ends; raises RigError when `deadline` passes first."""
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                return None
            self.log.write(chunk)
            self.log.flush()
            self.pending += chunk
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")


def boot(directory, *, guests, guest_memory_mib=160, memory_mib=2048, dom0_memory_mib=640, job_limit_s=None,
         show=None, accelerator="tcg", disk="disk", cpus=2):
    """Runs /rig/job of the dom0 image. Returns (exit code of the job, lines it printed, seconds by phase). Emulation
    takes a thread of this machine for each of Xen's `cpus`."""
    directory = pathlib.Path(directory)
    tell = show or (lambda line: None)
    command = qemu_command(directory, memory_mib, {"rig_guests": guests, "rig_guest_memory": guest_memory_mib},
                           dom0_memory_mib, accelerator, disk, cpus)
    expected = ["xen", "dom0-kernel", "dom0-userspace", "xenstored"]
    expected += [f"guest{n}-created" for n in range(1, guests + 1)] + [f"guest{n}-ready" for n in range(1, guests + 1)]
    expected += ["job", "done"]
    phases, lines, result, in_job = {}, [], None, False
    started = time.monotonic()

    def show(line):
        tell(f"[{time.monotonic() - started:5.1f} s] {line}")
    with open(directory / "console.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        console = Console(process, log)
        try:
            while expected:
                waiting = expected[0]
                key = re.sub(r"^guest\d+-", "guest-", waiting)
                limit = (job_limit_s or LIMITS["job"]) if in_job else LIMITS.get(key, 60)
                deadline = time.monotonic() + limit
                while True:
                    try:
                        line = console.line(deadline)
                    except TimeoutError:
                        doing = "the job" if in_job else f"phase '{waiting}'"
                        raise RigError(f"{doing} did not end within {limit} s; console: {log.name}") from None
                    if line is None:
                        raise RigError(f"QEMU ended (code {process.wait()}) in phase '{waiting}'; console: {log.name}")
                    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)
                    seen = None
                    if waiting == "xen" and "Xen version" in line:
                        seen = "xen"
                    elif waiting == "dom0-kernel" and re.search(r"Xen is relinquishing|Freed .* init memory", line):
                        seen = "dom0-kernel"
                    elif match := re.search(r"@rig (phase|result|failed) (.*)", line):
                        kind, text = match.groups()
                        if kind == "failed":
                            raise RigError(f"in phase '{waiting}': {text}; console: {log.name}")
                        if kind == "result":
                            result, in_job = int(text), False
                        else:
                            seen = text.strip()
                    elif "Panic on CPU" in line or "Kernel panic" in line:
                        raise RigError(f"in phase '{waiting}': {line.strip()}; console: {log.name}")
                    elif in_job or line.startswith("@guest "):
                        lines.append(line)
                        show(line)
                    if seen in expected:
                        while expected and expected.pop(0) != seen:
                            pass
                        phases[seen] = time.monotonic() - started
                        show(seen)
                        in_job = in_job or seen == "job"
                        break
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            raise RigError(f"the machine does not power off; console: {log.name}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            phases["powered-off"] = time.monotonic() - started
    return result, lines, phases


def shell(directory, *, guests, guest_memory_mib=160, memory_mib=2048, dom0_memory_mib=640, accelerator="tcg", cpus=2):
    """Opens dom0's prompt on this terminal."""
    words = {"rig_guests": guests, "rig_guest_memory": guest_memory_mib, "rig_shell": 1}
    print("Booting; this takes about half a minute. Leave with 'poweroff -f', or Ctrl-A X to end QEMU.", file=sys.stderr)
    return subprocess.call(qemu_command(pathlib.Path(directory), memory_mib, words, dom0_memory_mib, accelerator, cpus=cpus))
