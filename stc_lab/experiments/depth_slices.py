"""Depth, egomotion and focal length learned from one real clip, and held against whatever truth it has.

    python -m stc_lab.experiments.depth_slices --out depth_slices.json

learns from every slice in STC_LAB_DATA and adds its row to the file; rows that are there are not repeated.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.data.load import load
from stc_lab.errors import InputError
from stc_lab.experiments.report import write_json
from stc_lab.geometry import Camera, Warped, inverse_warp, relative_pose, rigid_flow
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.geometry.reconstruct import Matches, Reconstruction, reconstruct
from stc_lab.metrics import depth_scores, rotation_error, translation_direction_error
from stc_lab.models import DepthFPN, DepthNet
from stc_lab.training.augment import jitter_light
from stc_lab.training.depth import DepthTraining, predict_depth, train_depth
from stc_lab.training.depth_joint import FocalLength
from stc_lab.training.depth_matches import MatchedClip, matched_clips
from stc_lab.training.depth_recipe import DepthRecipe

# Size (px) that each slice is learned at: its own shape, about 200 px wide.
SLICE_SIZES = {"kitti": (96, 320), "icl": (144, 192), "sevenscenes": (144, 192), "camvid": (144, 192)}
SLICE_SPLITS = {"camvid": "val"}  # the film of 15 Hz; at 1 Hz hardly anything of a frame is left in the next
ROWS = ("identity", "constant depth", "learned depth", "whole clip", "true")  # motions of the middle three are fitted
COMMAND = "python -m stc_lab.experiments.depth_slices"
KEPT = Path(__file__).with_name("results") / "depth_slices.json"
_GAP = 2  # frames between those of a pair that is judged
# What is learned: a clip, and whether from a depth that is flat at first or from one in which what is low is near.
TRIALS = {
    "icl": ("icl", "flat"),
    "kitti": ("kitti", "ground"),
    "kitti, flat": ("kitti", "flat"),
    "sevenscenes": ("sevenscenes", "flat"),
    "camvid": ("camvid", "flat"),
}
_GROUND_STEPS, _GROUND_RANGE = 80, 4.0  # of teaching it that; the depth of the top row over that of the bottom row
RECIPE = DepthRecipe(joint_steps=150, rounds=1, distil_steps=150, sets=3)


@dataclass(frozen=True)
class SliceResult:
    """One clip: what was learned from it, and how it compares; what the data set does not know is None."""

    source: str
    clip: Clip
    training: DepthTraining
    depth: Float[Tensor, "t 1 h w"]  # of the net, frame by frame
    whole: Float[Tensor, "t 1 h w"]  # of the clip's reconstruction
    abs_rel: dict[str, float] | None  # by row: learned depth, whole clip, best constant
    motion: dict[str, float] | None  # degrees, medians over pairs 2 frames apart: rotation, of, direction
    focal_error: float | None  # learned over true focal length, minus 1
    photometric: dict[str, float]  # mean |difference| of frames 2 apart where every row sees them, by row: see `ROWS`
    parallax: dict[str, float] | None  # px, medians of frames 2 apart: what depth does to flow, how far flow is off

    def row(self) -> dict[str, Any]:
        """The numbers, in JSON's types."""
        height, width = self.clip.image.shape[-2:]
        return {
            "source": self.source,
            "frames": len(self.clip),
            "size": [height, width],
            "focal_ratio": self.training.focal_ratio,
            "abs_rel": self.abs_rel,
            "motion": self.motion,
            "focal_error": self.focal_error,
            "photometric": self.photometric,
            "parallax": self.parallax,
            "recipe": self.training.recipe.to_dict(),
            "seconds": self.training.seconds,
        }


def open_slice(source: str, *, root: Path | str | None = None) -> Videos:
    """The videos of a real slice at the size it is learned at; `root` defaults to its folder in STC_LAB_DATA."""
    if source not in SLICE_SIZES:
        raise InputError(f"source must be one of {', '.join(SLICE_SIZES)}, got {source!r}")
    return load(source, root=root, split=SLICE_SPLITS.get(source, "train"), size=SLICE_SIZES[source])


def learn_slice(
    source: str,
    videos: Videos,
    recipe: DepthRecipe = RECIPE,
    *,
    net: DepthNet | None = None,
    start: str = "flat",
    cache: Path | str | None = None,
    say: Callable[[str], None] | None = None,
) -> SliceResult:
    """Learn from the images of `videos` (from `net`, or from scratch), and judge the first of them.

    From scratch the depth at first is "flat", or that of `ground_start`. There is no test split: this asks what a clip
    tells of itself, not what a net knows of others.
    """
    if start not in ("flat", "ground"):
        raise InputError(f"start must be flat or ground, got {start!r}")
    clips = matched_clips(videos, flow_stride=recipe.flow_stride, net_stride=recipe.net_stride, cache=cache)
    if net is None and start == "ground":
        net = ground_start(clips, recipe)
    trained = train_depth(videos, recipe, net=net, cache=cache, say=say)
    matched = clips[0]
    clip = videos.clip(matched.video)
    single = predict_depth(trained.net, clip.image, net_stride=recipe.net_stride)
    camera = FocalLength(trained.focal_ratio, learned=False).camera(*clip.image.shape[-2:])
    grid = camera.resized(*matched.matches().forward.flow.shape[-2:])
    trust = Trust(recipe.flow_deviation / recipe.flow_stride, recipe.least_doubt)
    found = reconstruct(matched.matches(), _resized(single, *grid.size), grid, trust=trust)
    whole = _resized(found.depth, *camera.size)
    judged = _Pairs.of(clip, matched, trust)
    return SliceResult(
        source,
        clip,
        trained,
        single,
        whole,
        None if clip.depth is None else _abs_rel({"learned depth": single, "whole clip": whole}, clip.depth),
        None if clip.T_world_camera is None else _motion(matched, found, clip.T_world_camera),
        None if clip.camera is None else trained.focal_ratio * camera.width / float(clip.camera.K[0, 0, 0]) - 1,
        judged.photometric({"learned depth": single, "whole clip": whole}, camera),
        judged.parallax(),
    )


def ground_start(clips: Sequence[MatchedClip], recipe: DepthRecipe) -> DepthFPN:
    """A new net, taught that what is low in the image is near, and nothing else.

    A camera that drives ahead is lost on a flat depth: the road's flow is then taken for a turn, which a doubt in the
    depth along the epipolar lines forgives.
    """
    net = DepthFPN(generator=torch.Generator().manual_seed(recipe.seed))
    generator = torch.Generator().manual_seed(recipe.seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)
    for _ in range(_GROUND_STEPS):
        clip = clips[int(torch.randint(len(clips), (1,), generator=generator))]
        frames = torch.randint(len(clip.image), (8,), generator=generator).tolist()
        disparity = net.disparities(jitter_light(clip.images(frames), generator))[0]
        rows = torch.linspace(-0.5, 0.5, disparity.shape[-2])[:, None]
        wanted = math.log(_GROUND_RANGE) * rows - math.log(float(str(net.architecture["initial_depth"])))
        loss = (disparity.log() - wanted).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def kept_slices(path: Path = KEPT) -> dict[str, Any]:
    """The rows that come with the package, by source, and the command that makes them."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _abs_rel(depths: dict[str, Tensor], truth: Tensor) -> dict[str, float]:
    rows = {**depths, "best constant": torch.ones_like(truth)}
    return {row: depth_scores(depth, truth).abs_rel for row, depth in rows.items()}


def _motion(matched: MatchedClip, found: Reconstruction, poses: Tensor) -> dict[str, float]:
    rows = [row for (i, j), row in matched.pairs.items() if j == i + _GAP]
    pairs = torch.tensor([pair for pair in matched.pairs if pair[1] == pair[0] + _GAP])
    true = relative_pose(poses[pairs[:, 0]], poses[pairs[:, 1]])
    T = found.T_j_i[rows]
    still = torch.eye(4).expand_as(true)
    direction = translation_direction_error(T, true).median
    return {
        "rotation": rotation_error(T, true).median or 0.0,
        "of": rotation_error(still, true).median or 0.0,
        "direction": float("nan") if direction is None else direction,
    }


@dataclass(frozen=True)
class _Pairs:
    """Every second pair of frames of a clip, target i and source i + 2, and the flow between them."""

    clip: Clip
    target: Tensor
    source: Tensor
    own: Matches
    trust: Trust

    @classmethod
    def of(cls, clip: Clip, matched: MatchedClip, trust: Trust) -> "_Pairs":
        pairs = [(i, i + _GAP) for i in range(0, len(clip.image) - _GAP, 2)]
        target, source = (torch.tensor(frames) for frames in zip(*pairs, strict=True))
        return cls(clip, target, source, matched.matches(pairs), trust)

    @property
    def true_camera(self) -> Camera | None:
        return None if self.clip.camera is None else Camera(self.clip.camera.K[:1], *self.clip.camera.size)

    def true_motion(self) -> Float[Tensor, "p 4 4"] | None:
        """T_source_target."""
        poses = self.clip.T_world_camera
        return None if poses is None else relative_pose(poses[self.target], poses[self.source])

    @torch.no_grad()
    def photometric(self, depths: dict[str, Tensor], camera: Camera) -> dict[str, float]:
        """Mean |difference| of target and source where every row sees it, by row.

        A warp takes its depth as it is, so each depth gets the motion that suits it best as it is, without a doubt in
        it. The constant depth gets the true focal length where there is one: it learns nothing, and may know it.
        """
        flat = torch.ones_like(self.clip.image[:, :1])
        T, known = self.true_motion(), self.true_camera
        tried = {"constant depth": self._warped(flat, known or camera)}
        tried |= {row: self._warped(depth, camera) for row, depth in depths.items()}
        if self.clip.depth is not None and known is not None and T is not None:
            depth = self.clip.depth
            tried["true"] = inverse_warp(
                self.clip.image[self.source], depth[self.target], known, T, depth_source=depth[self.source]
            )
        visible = torch.stack([warped.visible for warped in tried.values()]).all(dim=0)
        images = {"identity": self.clip.image[self.source], **{row: warped.image for row, warped in tried.items()}}
        target = self.clip.image[self.target]
        return {row: float((image - target).abs().mean(dim=1)[visible].mean()) for row, image in images.items()}

    def parallax(self) -> dict[str, float] | None:
        """How far the true depth moves a pixel from where the median depth would, and the flow from where both do."""
        T, camera, depth = self.true_motion(), self.true_camera, self.clip.depth
        if T is None or camera is None or depth is None:
            return None
        here = depth[self.target]
        known = (here > 0)[:, 0]
        median = torch.full_like(here, float(here[here > 0].median()))
        true = rigid_flow(here, camera, T).flow
        moved = (true - rigid_flow(median, camera, T).flow).norm(dim=1)
        size, grid = here.shape[-2:], self.own.forward.flow.shape[-2:]
        scale = torch.tensor([size[1] / grid[1], size[0] / grid[0]])[:, None, None]
        flow = F.interpolate(self.own.forward.flow, size=size, mode="bilinear", align_corners=False) * scale
        usable = F.interpolate(self.own.forward.visible[:, None].float(), size=size)[:, 0] > 0
        off = (flow - true).norm(dim=1)
        step = T[:, :3, 3].norm(dim=1).median()
        return {
            "by depth": float(moved[known].median()),
            "flow off": float(off[known & usable].median()),
            "step": float(step),
            "median depth": float(median[0, 0, 0, 0]),
        }

    def _warped(self, depth: Tensor, camera: Camera) -> Warped:
        grid = camera.resized(*self.own.forward.flow.shape[-2:])
        sight = self.own.sight(_resized(depth, *grid.size), grid)
        T = fit_motion(sight, trust=Trust(self.trust.flow, 0.0))
        return inverse_warp(self.clip.image[self.source], depth[self.target], camera, T)


def _resized(depth: Float[Tensor, "t 1 _ _"], height: int, width: int) -> Float[Tensor, "t 1 height width"]:
    return 1 / F.interpolate(1 / depth, size=(height, width), mode="bilinear", align_corners=False)


@click.command(help=__doc__)
@click.option("--trial", "trials", multiple=True, type=click.Choice(list(TRIALS)), help="Only this one.")
@click.option("--out", default="depth_slices.json", type=click.Path(path_type=Path))
def main(trials: tuple[str, ...], out: Path) -> None:
    found: dict[str, Any] = kept_slices(out) if out.exists() else {"command": COMMAND, "rows": {}}
    for trial in trials or TRIALS:
        if trial in found["rows"]:
            continue
        began = time.process_time()
        source, start = TRIALS[trial]
        result = learn_slice(source, open_slice(source), start=start, say=click.echo)
        row = {**result.row(), "start": start, "seconds_in_all": time.process_time() - began}
        found = kept_slices(out) if out.exists() else found  # other rows may have been added meanwhile
        found["rows"][trial] = row
        write_json(out, found)
        click.echo(f"{trial}: {result.photometric}")


if __name__ == "__main__":
    main()
