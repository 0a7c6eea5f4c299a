"""Learning from a real clip: it runs on each slice, uses no truth, and says what the slice does not know."""

from dataclasses import replace

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.experiments.depth_slices import RECIPE, SLICE_SIZES, learn_slice, open_slice

SHORT = replace(RECIPE, joint_steps=4, distil_steps=4, sets=1)


@pytest.mark.bad_input
def test_an_unknown_slice_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="kitti, icl, sevenscenes, camvid"):
        open_slice("scannet")


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("source", ["icl", "kitti"])
def test_a_slice_is_learned_and_judged_by_what_it_knows(real_data, tmp_path, source):
    videos = open_slice(source)
    assert videos.size == SLICE_SIZES[source]
    result = learn_slice(source, videos, SHORT, cache=tmp_path)
    assert result.depth.shape == result.whole.shape == (len(result.clip.image), 1, *SLICE_SIZES[source])
    assert bool((result.whole > 0).all()) and bool(torch.isfinite(result.whole).all())
    assert result.motion is not None and result.focal_error is not None
    assert (result.abs_rel is None) == (source == "kitti") == ("true" not in result.photometric)
    # The flow finds the motion even where the depth is hardly learned: better than no motion at all.
    assert result.photometric["learned"] < result.photometric["identity"]
