"""The report over small made-up tables: every claim must be able to hold and to fail, bad tables are refused.

The tables (made_up.py) test the drawing code; no figure of the project comes from them.
"""
import json
import subprocess
import sys
import pathlib

import pandas
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from analysis import compare, report, sensitivity, style  # noqa: E402
from analysis.claims import Claim, Claims  # noqa: E402
from analysis.data import DataError, load  # noqa: E402
from analysis.figures import FIGURES  # noqa: E402
from analysis.made_up import TABLES, build_time, grants, transfer_regret  # noqa: E402


def claims_of(name, table):
    import importlib
    claims = Claims(name)
    importlib.import_module(f"analysis.figures.{name.replace('-', '_')}").check(table, claims)
    return {c.claim: c.holds for c in claims.rows}


def tried(holds):
    """Makes the verdicts of the ledger's claim with one constant: in use, at the low end, half-way and at the high
    end."""
    claim = "with the ledger, what the client pins never exceeds its donation and quota"
    rows = [dict(figure="stealing", claim=claim, constant=name, unit="us", low=0.8, high=4, here=1.5, known="M", end=end, value=value,
                 holds=verdict, simulated="", constants_read=3)
            for name, end, value, verdict in zip(("", *["xen.flip"] * 3), ("here", "low", "to high", "high"), (None, 0.8, 2.5, 4), holds)]
    return claim, pandas.DataFrame(rows)


@pytest.mark.parametrize("holds, survives, said", [
    ((True, True, True, True), True, "holds at both ends of the range of the one cost constant tried (its runs use 3)"),
    ((True, True, True, False), False, "xen.flip [M] turns it somewhere between 2.5 and 4 µs (used: 1.5; range 0.8 "
                                       "to 4)"),
    ((True, False, True, True), False, "xen.flip [M] turns it somewhere between 0.8 and 1.5 µs (used"),
    ((True, None, True, True), False, "could not be run at an end of xen.flip"),
    ((False, True, True, True), None, "not known: in the smaller runs made for it the claim does not hold"),
])
def test_a_claims_sensitivity_is_told(results, holds, survives, said):
    claim, table = tried(holds)
    table.to_csv(results / "data" / "sensitivity-claims.csv", index=False)
    found = sensitivity.of_claim(sensitivity.load(results / "data"), "stealing", claim, True)
    assert found["survives"] is survives and said in found["text"]
    assert report.main(["--data", str(results / "data"), "--out", str(results), "--only", "stealing"]) == 0
    page = (results / "report.html").read_text()
    assert said in page and "<h3>Sensitivity</h3>" in page
    written = {c["claim"]: c["sensitivity"] for c in json.loads((results / "claims.json").read_text())}
    assert written[claim]["survives"] is survives


def test_a_page_without_verdicts_has_no_word_of_them(results):
    assert report.main(["--data", str(results / "data"), "--out", str(results)]) == 0
    page = (results / "report.html").read_text()
    assert "<h3>Sensitivity</h3>" not in page and "Sensitivity:" not in page and "checked again" not in page


def test_the_head_counts_what_was_fitted_or_tried_by_one_constant_and_links_what_fails(results):
    claim, table = tried((True, True, True, True))
    table.to_csv(results / "data" / "sensitivity-claims.csv", index=False)
    grants(sharing=False).to_csv(results / "data" / "persistent-grants.csv", index=False)
    only = ["--only", "stealing", "packet-mechanisms", "persistent-grants"]
    report.main(["--data", str(results / "data"), "--out", str(results), *only])
    page = (results / "report.html").read_text()
    claims = json.loads((results / "claims.json").read_text())
    fitted = sum(c["holds"] and c["claim"].startswith("fitted:") for c in claims)
    assert fitted and f"{fitted} of those that hold state to what a constant was fitted" in page
    assert f"For {sum(c['known_how'] == '' for c in claims)} of the {len(claims)} nothing was published" in page
    assert "For 1 of the 1 that was one constant only, where the runs use 3." in page
    last = [c["holds"] for c in claims if c["figure"] == "persistent-grants"]
    ids = [f"persistent-grants-{number}" for number, holds in enumerate(last, 1) if not holds]
    assert ids and all(f'<a href="#{name}">' in page and f'<tr id="{name}">' in page for name in ids)


def test_a_comparison_is_drawn_and_what_is_none_is_refused(tmp_path, capsys):
    rows = [dict(arm=arm, capture="x.xfcap", guests=4, pages_peak=n, unique_pages_peak=100, completion_s=1.5, disk_read_bytes=1 << 20)
            for arm, n in (("private", 400), ("xenfs-name", 120))]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    assert compare.main([str(tmp_path / "c.json"), str(tmp_path / "c.png")]) == 0
    assert (tmp_path / "c.png").stat().st_size > 5000 and not list(tmp_path.glob("*.tmp*"))
    rows[1]["failed_operations"] = 12
    (tmp_path / "c.json").write_text(json.dumps(rows))
    figure = compare.draw(style.apply(), compare.load(tmp_path / "c.json"))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["private", "xenfs-name\n(12 operations failed)"]
    for text, said in (("{", "not JSON"), ("[1]", "a list of arms is wanted"), ('[{"arm": "x"}]', "no guests, pages_peak")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match=said):
            compare.load(tmp_path / "bad.json")
    with pytest.raises(DataError, match="ends in .png"):
        compare.main([str(tmp_path / "c.json"), str(tmp_path / "c.jpeg")])


@pytest.fixture
def results(tmp_path):
    (tmp_path / "data").mkdir()
    for name, table in TABLES.items():
        table().to_csv(tmp_path / "data" / f"{name}.csv", index=False)
    return tmp_path


def test_every_figure_has_a_table_here():
    assert set(TABLES) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_claims_hold_on_data_of_the_right_shape(name):
    claims = claims_of(name, TABLES[name]())
    assert claims and all(claims.values()), [c for c, held in claims.items() if not held]


@pytest.mark.parametrize("name", FIGURES)
def test_claims_can_fail(name):
    held = claims_of(name, TABLES[name](sharing=False))
    assert not all(held.values())


def test_runs_cut_short_are_told_and_drawn_hollow():
    runs = [{"labels": {"arm": "private", "cache_mib": size}, "operations": n, "first": "mmap of /bin/cc1: Cannot "
                                                                                        "allocate memory"}
            for size, n in ((32, 1234), (16, 5))]
    manifest = {"failed_operations": {"stealing": {"of": 5, "runs": runs}}}
    assert report.failures_sentence("charging", manifest) == ""
    assert report.failures_sentence("stealing", manifest) == (
        "In 2 of 5 runs operations failed that had succeeded when they were recorded, and the workload was cut short "
        "(arm private, "
        "cache 32 MiB: 1,234; arm private, cache 16 MiB: 5; the first: mmap of /bin/cc1: Cannot allocate memory).")
    manifest["failed_operations"]["stealing"]["runs"] = runs * 6
    assert "; 4 more; the first:" in report.failures_sentence("stealing", manifest)
    from analysis.figures import build_time_vs_guests as figure
    table = build_time()
    table.loc[(table.panel == "cache") & (table.cache_mib == 8), "failed_operations"] = 3
    axes = figure.draw(style.apply(), table).axes
    hollow = [[list(line.get_xdata()) for line in axis.lines
               if line.get_markerfacecolor() == "white" and len(line.get_xdata())] for axis in axes]
    assert hollow == [[], [], [[8]], [[8]]]


def test_a_tie_is_a_win_of_both():
    table = transfer_regret()
    best = table[table.policy.isin(("copy", "map"))]
    times = best.groupby("point").time_us.min()
    table.loc[table.policy == "flip", "time_us"] = 1.009 * table[table.policy == "flip"].point.map(times).to_numpy()
    claims = Claims("transfer-regret")
    from analysis.figures import transfer_regret as figure
    figure.check(table, claims)
    ratio = figure.ratios(table)
    wins = {policy: sum(ratio[policy] <= figure.TIE) for policy in figure.FIXED}
    assert wins["flip"] > sum(ratio.flip == 1)
    assert f"flip {wins['flip']} and" in claims.rows[0].simulated


def test_in_a_table_each_marker_and_each_line_stands_once():
    for table in (style.ARMS, style.TRANSFERS, style.EVICTIONS, style.REMOTE, style.GRANTS, style.PACKETS,
                  style.SHARING):
        looks = [style.look(name, table) for name in table]
        assert len({look["marker"] for look in looks}) == len({str(look["linestyle"]) for look in looks}) == len(table)


def test_report_is_whole_and_self_contained(results):
    assert report.main(["--data", str(results / "data"), "--out", str(results)]) == 0
    page = (results / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(FIGURES)
    assert "http://" not in page and "https://" not in page
    claims = json.loads((results / "claims.json").read_text())
    assert {"figure", "claim", "published", "source", "known_how", "simulated", "holds", "sensitivity"} == set(claims[0])
    for name in FIGURES:
        assert (results / "figures" / f"{name}.png").stat().st_size > 10_000
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_same_data_give_the_same_bytes(results):
    files = ["report.html", "claims.json", "figures/stealing.png", "figures/stealing.pdf"]
    arguments = ["--data", str(results / "data"), "--out", str(results), "--only", "stealing"]
    report.main(arguments)
    first = [(results / f).read_bytes() for f in files]
    report.main(arguments)
    assert [(results / f).read_bytes() for f in files] == first


def test_the_readmes_picture_is_the_drawing_of_its_table(tmp_path):
    from matplotlib.testing.compare import compare_images
    gallery = pathlib.Path(report.__file__).parent / "gallery"
    pictures = sorted(gallery.glob("*.png"))
    assert pictures and [p.stem for p in pictures] == [p.stem for p in sorted(gallery.glob("*.csv"))]
    for picture in pictures:
        report.draw(picture.stem, gallery, tmp_path, {}, None)
        assert compare_images(str(picture), str(tmp_path / "figures" / picture.name), tol=1) is None


def test_a_missing_column_is_one_sentence(results):
    (results / "data" / "stealing.csv").write_text("ledger,time_s\non,1\n")
    with pytest.raises(DataError, match=r"stealing\.csv: no column seed, hostile_pinned_pages"):
        load(results / "data", "stealing", ("ledger", "seed", "hostile_pinned_pages"))
    program = pathlib.Path(report.__file__)
    done = subprocess.run([sys.executable, program, "--data", results / "data", "--out", results, "--only", "stealing"],
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "stealing.csv" in done.stderr


def test_a_claim_must_say_how_its_published_value_is_known():
    with pytest.raises(ValueError, match="known_how 'hearsay'"):
        Claim("f", "c", "p", "s", "hearsay", "x", True)


@pytest.mark.parametrize("scale, parts, says", [
    ("full", {"a": ([1], False)}, "Nothing here is drawn at random"),
    ("full", {"a": ([1], None)}, ""),
    ("quick", {"a": ([1], True)}, "Something is drawn at random; one seed was run; the full scale runs five"),
    ("full", {"a": ([1, 2], True), "b": ([1], False)}, "at random in the runs “a” and nowhere else: shown is the mean of 2 seeds"),
    ("full", {"a": ([1, 2], True), "b": ([1], None)}, "at random in the runs “a”: shown is the mean of 2 seeds with its 95 % interval (Student's t); the runs “b” are of one seed."),
])
def test_what_is_random_is_said_as_it_was_tried(scale, parts, says):
    manifest = {"scale": scale, "seeds": {"x": {part: {"seeds": seeds, "random": random} for part, (seeds, random) in parts.items()}}}
    sentence = report.seeds_sentence("x", manifest)
    assert says in sentence and bool(says) == bool(sentence)
