"""Tables of the study: known answers in the cells, and files that hold them."""

import csv
import math
from pathlib import Path

import pandas as pd
import pytest
from made_up_pasad import CONTINUED, COUNTS, IDENTITY, METHOD, TABLE_1_ROWS, TABLE_2_ROWS, made_up_study, result

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_results import CONTROLS, KEPT, kept_results
from stc_lab.experiments.pasad_tables import readable, readme_table, table_1, table_2
from stc_lab.experiments.pasad_writing import claims_table, equivalence_table, gains_table, write_report, write_tables
from stc_lab.experiments.places import project_root
from stc_lab.experiments.search_table import search_table
from stc_lab.experiments.table_files import save_table, to_html, to_markdown, written

GAINS = {row: 0.01 * i for i, row in enumerate(TABLE_1_ROWS[1:], start=1)}  # consistency gains a point, and so on
STUDY = made_up_study(GAINS, ablation={row: 0.01 * i for i, row in enumerate(TABLE_2_ROWS)})


def line(frame: pd.DataFrame, **of: object) -> dict[str, float]:
    for name, value in of.items():
        frame = frame[frame[name] == value]
    (found,) = frame.to_dict("records")
    return found


def test_table_1_has_every_row_at_every_count_in_per_cent() -> None:
    table = table_1(STUDY)
    assert len(table) == len(COUNTS) * (len(TABLE_1_ROWS) + 1)
    own = line(table, labels=100, row=METHOD)
    assert own["mIoU"] == pytest.approx(100 * (0.10 + 0.05 + 0.02 + 0.01))  # the mean seed adds two points
    assert own["spread"] == pytest.approx(math.sqrt(2.5)) and own["n"] == 5
    assert (own["gain"], own["gain low"], own["gain high"]) == pytest.approx((1, 1, 1))
    assert own["over identity"] == pytest.approx(1 - 3) and math.isnan(own["VC8"])
    base = line(table, labels=100, row=CONTINUED)
    assert math.isnan(base["gain"]) and math.isnan(base["published"])
    assert math.isnan(line(table, labels=100, row=IDENTITY)["over identity"])


def test_published_values_stand_beside_the_same_place_of_the_list() -> None:
    table = table_1(STUDY)
    own, base = line(table, labels=200, row=METHOD), line(table, labels=200, row="baseline")
    assert (own["published labels"], own["published"], base["published"]) == (0.5, 49.4, 47.0)
    assert own["published gain"] == pytest.approx(2.4) and math.isnan(base["published gain"])
    fewer = table_1(made_up_study(GAINS, counts=COUNTS[:2]))
    assert fewer["published"].isna().all()  # two counts are not those of the paper


def test_table_2_at_both_strengths() -> None:
    table = table_2(STUDY)
    assert list(table["strength"].unique()) == ["equal weight", "equalised"] and set(table["labels"]) == {50}
    own = line(table, strength="equalised", row="pixel prior")
    assert own["gain"] == pytest.approx(2) and own["published"] == 41.8 and own["published gain"] == pytest.approx(2.0)
    assert line(table, strength="equal weight", row="all three")["gain"] == pytest.approx(3)
    assert not {*CONTROLS} & set(table[table["strength"] == "equalised"]["row"])
    assert list(table[table["strength"] == "equal weight"]["row"])[-3:] == list(CONTROLS)
    assert own["over identity"] == pytest.approx(2 - 3)  # the control is that of equal weight


def test_seeds_may_come_in_any_order_and_a_constant_changes_no_gain() -> None:
    noisy = made_up_study(GAINS, noise=0.01)
    columns = ["gain", "gain low", "gain high", "over identity"]
    plain = table_1(noisy)[columns]
    pd.testing.assert_frame_equal(table_1(noisy[::-1])[columns], plain)
    moved = [one | {"miou": one["miou"] + 0.2} for one in noisy]
    pd.testing.assert_frame_equal(table_1(moved)[columns], plain)


def test_what_is_missing_is_missing() -> None:
    assert len(table_1([])) == len(table_2([])) == 0 and "mIoU" in table_1([]).columns
    one_seed = line(table_1(made_up_study(GAINS, seeds=(4,))), labels=50, row=METHOD)
    assert one_seed["gain"] == pytest.approx(1) and math.isnan(one_seed["spread"]) and math.isnan(one_seed["gain low"])
    alone = table_1([result(METHOD, 50, 0, 0.2)])
    assert len(alone) == 1 and math.isnan(alone["gain"][0])
    partly = [one for one in STUDY if one["row"] != METHOD or one["seed"] < 2]
    assert line(table_1(partly), labels=50, row=METHOD)["n"] == 2


def test_numbers_to_read() -> None:
    text = readable(table_1(STUDY))
    (own,) = text[(text["labels"] == 50) & (text["row"] == METHOD)].to_dict("records")
    assert own["gain"] == "+1.0 [+1.0, +1.0]" and own["mIoU"] == "13.0 ± 1.6" and own["published"] == "43.3 (+3.5)"
    (base,) = text[(text["labels"] == 50) & (text["row"] == CONTINUED)].to_dict("records")
    assert base["gain"] == "-" == base["published"]
    assert len(readable(table_2([]))) == 0


def test_the_table_of_the_readme() -> None:
    lines = readme_table(STUDY).splitlines()
    assert lines[0] == "| mIoU (%), labelled frames | 50 | 100 | 200 | 400 | 800 | 1600 |"
    assert len({one.count("|") for one in lines}) == 1
    assert any(one.startswith(f"| {METHOD} | 13.0 ± 1.6 |") for one in lines)
    assert "+1.0 [+1.0, +1.0]" in lines[-3] and "-2.0 [-2.0, -2.0]" in lines[-2]  # over its own control
    assert "+3.5 | +2.9 | +2.4 | +0.3 | +2.0 | +0.0 |" in lines[-1]
    partly = [one for one in STUDY if not (one["count"] == 400 and one["row"] == METHOD)]
    assert " - |" in readme_table(partly)


@pytest.mark.skipif(not KEPT.is_file(), reason="the full study has not been kept yet")
def test_the_readme_shows_the_kept_study() -> None:
    readme = (project_root() / "README.md").read_text(encoding="utf-8")
    assert readme_table(kept_results()) in readme
    assert "stc-lab reproduce pasad --profile full" in readme


def test_every_table_is_written(tmp_path: Path) -> None:
    saved = write_tables([*STUDY, result(METHOD, 50, 0, 0.9, split="validation")], tmp_path)
    assert set(saved) == {"table_1", "table_2", "label_equivalence", "class_gains", "claims"}
    with saved["table_1"].csv.open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    own = next(row for row in rows if row["row"] == METHOD and row["labels"] == "50")
    assert float(own["mIoU"]) == pytest.approx(13.0) and own["published"] == "43.3"  # no validation room counts
    for table in saved.values():
        assert table.html.read_text(encoding="utf-8").count("<table>") == 1
        assert table.markdown.read_text(encoding="utf-8").count("| ---") >= 1
    for name in ("table_1", "table_2"):
        text = saved[name].markdown.read_text(encoding="utf-8")
        assert "the same test rooms" in text and "not corrected for the number of claims" in text
    assert "extrapolation" in saved["label_equivalence"].markdown.read_text(encoding="utf-8")
    assert not list(tmp_path.glob(".*"))


def test_tables_and_report_of_nothing(tmp_path: Path) -> None:
    assert set(write_tables([], tmp_path)) == set(write_tables(STUDY, tmp_path))
    page = write_report([], tmp_path).read_text(encoding="utf-8")
    assert "inconclusive" in page and "0 of " in page
    assert len(equivalence_table([])) == len(gains_table([])) == 0


def test_the_report_has_verdicts_tables_and_figures(tmp_path: Path) -> None:
    import plotly.graph_objects as go

    from stc_lab.plots.save import save_figure

    save_figure(go.Figure(go.Scatter(y=[1])), "one", tmp_path / "figures", alt="a <point>")
    full = [one | {"profile": "full"} for one in STUDY]
    page = write_report(full, tmp_path).read_text(encoding="utf-8")
    assert page.count("<table>") == 5 and "figures/one.html" in page and "a &lt;point&gt;" in page
    assert "does not show" in page and "<caption>" in page


def test_the_factor_and_the_classes() -> None:
    table = equivalence_table(STUDY)
    own = line(table, row=METHOD, labels=100)
    assert [own[name] for name in ("factor", "factor low", "factor high")] == pytest.approx([2**0.2] * 3)
    assert own["published factor"] == pytest.approx(2.0, abs=0.05)
    classes = gains_table(STUDY)
    assert list(classes["class"]) == ["wall", "floor", "door", "lamp", "plant"]
    assert list(classes["gain"]) == pytest.approx([1] * 5) and list(classes["gain, identity warp"]) == pytest.approx(
        [3] * 5
    )


def test_claims_say_where_they_stand() -> None:
    from stc_lab.experiments.pasad_claims import verdicts

    table = claims_table(verdicts(STUDY))
    assert set(table["here"]) <= {"shows", "does not show", "inconclusive"} and not table["the paper"].eq("").any()


def test_the_search_beside_its_controls() -> None:
    trials = [
        {"setting": name, "count": 200, "seed": seed, "steps": steps, "miou": 0.2 + 0.01 * seed + gain}
        for name, steps, gain in (
            ("baseline continued", 500, 0.0),
            ("baseline continued, 1500 steps", 1500, 0.05),
            ("longer", 1500, 0.06),
            ("Eq. 1", 500, 0.02),
            ("Eq. 1 | identity", 500, 0.015),
        )
        for seed in (0, 1)
    ]
    table = search_table(trials)
    assert table["setting"].tolist()[:3] == ["Eq. 1", "Eq. 1 | identity", "longer"]
    own = line(table, setting="Eq. 1")
    assert own["gain"].startswith("+2.0") and own["over its identity control"].startswith("+0.5")
    assert line(table, setting="longer")["gain"].startswith("+1.0")
    assert line(table, setting="baseline continued")["gain"] == "-"
    assert len(search_table([])) == 0


def test_cells() -> None:
    assert [written(v) for v in (None, math.nan, 1, 1.234, "word", True)] == ["-", "-", "1", "1.23", "word", "True"]
    frame = pd.DataFrame({"a|b": ["x|y", "<b>"], "n": [1.0, math.nan]})
    assert to_markdown(frame).splitlines()[2] == "| x\\|y | 1.00 |" and "---:" in to_markdown(frame)
    assert "&lt;b&gt;" in to_html(frame) and '<th scope="row">x|y</th>' in to_html(frame)


@pytest.mark.bad_input
def test_a_table_needs_a_name_and_a_caption(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lower-case"):
        save_table(pd.DataFrame(), "Table 1", tmp_path, caption="x")
    with pytest.raises(InputError, match="caption"):
        save_table(pd.DataFrame(), "table", tmp_path, caption=" ")
