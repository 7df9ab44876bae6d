"""The fixture that tests of the workflow share."""
import stat

import pytest

from experiments import plan, reproduce
from experiments.stand_in import STAND_IN


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Makes a directory with the stand-in and one small sweep; report() only notes that it was called."""
    program = tmp_path / "xenfs-sim"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    sweeps = tmp_path / "sweeps"
    sweeps.mkdir()
    (tmp_path / "pages.toml").write_text('name = "pages"\n')
    (sweeps / "flip-copy-map.toml").write_text("""
[[part]]
name = "modes"
scenario = "../pages.toml"
grid = {mode = ["copy", "map"], temperature = ["warm"], vcpus = [1, 2]}
quick = {seeds = [1]}
full = {seeds = [1, 2], grid = {vcpus = [1, 2, 4]}}
[part.set]
mode = "arm.transfer"
vcpus = "guests.vcpus"
temperature.warm = {"workload.warm" = true}
""")
    monkeypatch.setattr(plan, "SWEEPS", sweeps)
    monkeypatch.setattr(reproduce, "report", lambda options, names: None)
    plan.digest.cache_clear()
    return tmp_path
