"""What chapter 03 says in words agrees with the studies that it shows."""

from pathlib import Path
from statistics import fmean

import nbformat
import pytest

from stc_lab.experiments.depth_slices import COMMAND as SLICES_COMMAND
from stc_lab.experiments.depth_slices import RECIPE, TRIALS, kept_slices
from stc_lab.experiments.photometric_results import (
    best_constant_of,
    contrast_of,
    photometric_table,
    pulls,
    result_of,
    setting_results,
)
from stc_lab.experiments.photometric_study import COMMAND as STUDY_COMMAND
from stc_lab.experiments.photometric_study import SETTINGS, kept_photometric

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_self_supervised_depth.ipynb"


@pytest.fixture(scope="module")
def words() -> str:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return " ".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")


def of(name: str, steps: int = 300) -> float:
    return fmean(result_of(kept_photometric(), name, steps).abs_rel)


def test_all_settings_are_kept_with_the_recipe_that_the_code_gives() -> None:
    kept = kept_photometric()
    assert {result.name for result in setting_results(kept) if result.steps == 300} == set(SETTINGS)
    assert kept["command"] == STUDY_COMMAND and kept["preset"] == "full"
    for row in kept["rows"].values():
        assert row["recipe"] == SETTINGS[row["name"]].recipe(row["steps"], row["recipe"]["seed"]).to_dict()
    assert photometric_table(kept).count("\n") == len(setting_results(kept)) + 2


def test_the_words_about_the_photometric_error_are_the_study(words: str) -> None:
    kept = kept_photometric()
    constant, slopes = best_constant_of(kept), pulls(kept)
    for said in (
        f"takes abs_rel from {constant:.3f} to about 0.25",
        f"true motions ({of('true motion'):.3f})",
        f"as published, little is learned in 300 steps ({of('monodepth2, published'):.3f}",
        f"{of('gordon, published'):.3f}",
        f"taught first ({of('motion net first'):.3f})",
        f"from coarse to fine ({of('published, coarse to fine'):.3f})",
        f"({100 * fmean(result_of(kept, 'focal length by the error').focal_error):+.0f} %)",
        f"pulled *longer* ({slopes[1.25][0]:+.2f})",
        f"shorter ({slopes[1.25][1]:+.2f})",
        f"abs_rel is {of('larger frames'):.3f}",
        f"takes {100 * contrast_of(kept, stride=1, gap=1):.0f} % off",
        f"{100 * contrast_of(kept, stride=2, gap=2):.0f} %",
        f"{kept['shipped']['abs_rel']:.3f} before, {of('last stage'):.3f} after",
        f"`{STUDY_COMMAND}`",
    ):
        assert said in words, said


def test_what_the_words_conclude_holds_in_the_study() -> None:
    kept = kept_photometric()
    constant, slopes = best_constant_of(kept), pulls(kept)
    found = [of(name) for name in ("fitted motion", "gordon, fitted motion", "unit free", "true motion")]
    guessed = [of(name) for name in ("monodepth2, published", "gordon, published", "motion net first")]
    assert max(found) < 0.7 * constant < 0.9 * constant < min(guessed)
    assert slopes[1.25][0] < 0 < slopes[1.25][1]
    assert abs(kept["shipped"]["abs_rel"] - of("last stage")) < 0.02
    assert of("larger frames") >= of("fitted motion")


def test_the_words_about_real_clips_are_the_study(words: str) -> None:
    kept = kept_slices()
    rows = kept["rows"]
    assert set(rows) == set(TRIALS) and kept["command"] == SLICES_COMMAND and f"`{SLICES_COMMAND}`" in words
    assert all(row["recipe"] == RECIPE.to_dict() for row in rows.values())
    icl, failed, kitti, flat, camvid = (rows[n] for n in ("icl", "sevenscenes", "kitti", "kitti, flat", "camvid"))
    for said in (
        f"depth moves its pixels by {icl['parallax']['by depth']:.2f} px where the flow errs by "
        f"{icl['parallax']['flow off']:.2f}",
        f"abs_rel is {icl['abs_rel']['learned depth']:.3f} of {icl['abs_rel']['best constant']:.3f}",
        f"the camera moves {1000 * failed['parallax']['step']:.0f} mm",
        f"into {failed['parallax']['by depth']:.2f} px, *less* than the flow's error of "
        f"{failed['parallax']['flow off']:.2f} px",
        f"depth ({failed['abs_rel']['learned depth']:.2f} of {failed['abs_rel']['best constant']:.2f})",
        f"direction ({failed['motion']['direction']:.0f}°)",
        f"the learned warp leaves {100 * failed['photometric']['learned depth']:.2f} %, the true geometry "
        f"{100 * failed['photometric']['true']:.2f} %",
        f"turn of {flat['motion']['rotation']:.1f}°",
        f"{kitti['motion']['rotation']:.1f}° off",
        f"{kitti['motion']['direction']:.0f}° off",
        f"from {100 * camvid['photometric']['constant depth']:.2f} to "
        f"{100 * camvid['photometric']['learned depth']:.2f} %",
        f"{camvid['focal_ratio']:.2f} of the width",
    ):
        assert said in words, said


def test_what_the_words_conclude_of_real_clips_holds() -> None:
    rows = kept_slices()["rows"]
    icl, failed = rows["icl"], rows["sevenscenes"]
    assert icl["parallax"]["by depth"] > icl["parallax"]["flow off"]
    assert failed["parallax"]["by depth"] < failed["parallax"]["flow off"]
    assert icl["abs_rel"]["learned depth"] < 0.5 * icl["abs_rel"]["best constant"]
    assert failed["abs_rel"]["learned depth"] > failed["abs_rel"]["best constant"]
    assert failed["photometric"]["learned depth"] < failed["photometric"]["true"]
    for row in rows.values():
        assert (
            row["photometric"]["learned depth"] < row["photometric"]["constant depth"] < row["photometric"]["identity"]
        )
