"""Tests what a page is made of: tables, verdicts and manifest of one call, and the README's picture."""
import pandas
import pytest

from experiments import reproduce, tables
from experiments.stand_in import calls, claims_of, reproduce_in, verdicts


def add_headline(bench, monkeypatch):
    """Adds the figure that shows what the constants move, over the same runs."""
    path = bench / "sweeps" / "flip-copy-map.toml"
    (bench / "sweeps" / "sensitivity.toml").write_text(path.read_text())
    monkeypatch.setitem(tables.ROWS, "sensitivity", tables.ROWS["flip-copy-map"])


def test_without_variations_the_figure_of_them_is_left_out(bench, monkeypatch):
    add_headline(bench, monkeypatch)
    drawn = []
    monkeypatch.setattr(reproduce, "report", lambda options, names: drawn.append(names))
    assert reproduce_in(bench) == 0
    assert drawn == [["flip-copy-map"]] and not (bench / "out/data/sensitivity.csv").exists()
    for only in (["sensitivity"], ["sensitivity", "flip-copy-map"]):
        with pytest.raises(reproduce.Failure, match="--only sensitivity draws what --sensitivity varies; with "
                                                    "--sensitivity none") as stop:
            reproduce_in(bench, "--only", *only)
        assert stop.value.code == 2
    claims_of(monkeypatch, lambda table: True)
    assert reproduce_in(bench, "--only", "sensitivity", "--sensitivity", "all") == 0
    assert drawn[1:] == [["sensitivity"]]
    assert {"constant", "unit", "here"} <= set(pandas.read_csv(bench / "out/only/data/sensitivity.csv").columns)


def test_verdicts_of_an_earlier_call_go(bench, monkeypatch):
    claims_of(monkeypatch, lambda table: True)
    reproduce_in(bench, "--sensitivity", "all")
    assert verdicts(bench)
    reproduce_in(bench)
    assert not (bench / "out/data/sensitivity-claims.csv").exists()


def test_only_leaves_the_page_of_all_figures_alone(bench, monkeypatch):
    claims_of(monkeypatch, lambda table: True)
    (bench / "sweeps" / "stealing.toml").write_text((bench / "sweeps" / "flip-copy-map.toml").read_text())
    monkeypatch.setitem(tables.ROWS, "stealing", tables.ROWS["flip-copy-map"])
    from analysis.figures import stealing
    monkeypatch.setattr(stealing, "check", lambda table, claims: claims.check("it is so", True, "text"))
    pages = []
    monkeypatch.setattr(reproduce, "report", lambda options, names: pages.append((options.page, names)))
    reproduce_in(bench, "--sensitivity", "all")

    def whole():
        return {path: path.read_bytes() for path in (*(bench / "out/data").iterdir(), bench / "out/manifest.json")}
    before = whole()
    made = len(calls(bench))
    reproduce_in(bench, "--only", "stealing", "--sensitivity", "all")
    assert whole() == before and len(calls(bench)) == made, "the page of all is as it was, and results are shared"
    assert pages == [(bench / "out", ["flip-copy-map", "stealing"]), (bench / "out/only", ["stealing"])]
    assert {path.name for path in (bench / "out/only/data").iterdir()} == {"stealing.csv", "sensitivity-claims.csv"}


def test_a_stale_picture_of_the_readme_is_told(bench, monkeypatch, capsys):
    gallery = bench / "gallery"
    gallery.mkdir()
    monkeypatch.setattr(reproduce, "GALLERY", gallery)
    reproduce_in(bench)
    made = (bench / "out/data/flip-copy-map.csv").read_bytes()
    for shown, told in ((made, False), (made + b"x", True)):
        (gallery / "flip-copy-map.csv").write_bytes(shown)
        (gallery / "stealing.csv").write_bytes(b"of a figure that is not drawn")
        capsys.readouterr()
        reproduce_in(bench)
        assert ("README's picture flip-copy-map.png shows other data" in capsys.readouterr().err) == told
    reproduce_in(bench, "--seed", "7")
    assert "README's picture" not in capsys.readouterr().err
