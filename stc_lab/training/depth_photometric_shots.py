"""Frames in threes for photometric training: a target, the frames before and after it, and what is known of them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, Flow, relative_pose
from stc_lab.geometry.reconstruct import Matches
from stc_lab.training.depth_matches import MatchedClip, matched_clips, small_frames
from stc_lab.training.depth_photometric_recipe import PhotometricRecipe


@dataclass(frozen=True)
class Film:
    """A clip, and of its data set's knowledge what the recipe asks for."""

    clip: MatchedClip  # without pairs where no flow is needed
    T_world_camera: Float[Tensor, "t 4 4"] | None
    camera: Camera | None  # of the data's frames, one K each


@dataclass(frozen=True)
class Shots:
    """b targets between their sources; pairs (earlier, target) and (target, later) of each, in this order."""

    images: Float[Tensor, "b 3 3 hn wn"]
    matches: Matches | None  # of the 2 b pairs, frames counted through
    T_b_a: Float[Tensor, "p 4 4"] | None  # the data's, of the pairs
    given: Camera | None  # the data's, of the pairs

    def pairs(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "p 3 h w"], Float[Tensor, "p 3 h w"]]:
        """The earlier and the later frames of the pairs, out of all frames."""
        threes = images.unflatten(0, (-1, 3))
        return threes[:, :2].flatten(0, 1), threes[:, 1:].flatten(0, 1)

    def camera(self, height: int, width: int) -> Camera:
        """The data's, for frames of this size."""
        assert self.given is not None
        return self.given.resized(height, width)


def films_of(videos: Videos, recipe: PhotometricRecipe, *, cache: Path | str | None = None) -> list[Film]:
    """All videos, with flow, poses and camera only where the recipe asks for them."""
    asked = ["T_world_camera"] * (recipe.pose == "true") + ["camera"] * (recipe.focal == "given")
    if recipe.pose == "fit" or recipe.pose_first > 0:
        clips = matched_clips(videos, flow_stride=recipe.flow_stride, net_stride=recipe.net_stride, cache=cache)
    else:
        clips = [_without_flow(videos, name, recipe.net_stride) for name in videos.names]
    films = []
    for clip in clips:
        if len(clip.image) <= 2 * max(recipe.gaps):
            raise InputError(
                f"video {clip.video!r} has {len(clip.image)} frames, gaps of {max(recipe.gaps)} both ways need more "
                f"than {2 * max(recipe.gaps)}"
            )
        known = {}
        if asked:
            whole = videos.clip(clip.video)
            whole.require(*asked)
            known = {name: getattr(whole, name) for name in asked}
        films.append(Film(clip, known.get("T_world_camera"), known.get("camera")))
    return films


def draw_shots(films: list[Film], recipe: PhotometricRecipe, generator: torch.Generator) -> Shots:
    """Targets of random clips, each with a random gap to its sources; half of them mirrored, if the recipe says so."""
    images, forward, backward, poses, Ks = [], [], [], [], []
    pairs, size = [], None
    for number in range(recipe.batch):
        film = films[_draw(len(films), generator)]
        gap = recipe.gaps[_draw(len(recipe.gaps), generator)]
        target = gap + _draw(len(film.clip.image) - 2 * gap, generator)
        mirrored = recipe.flip and _draw(2, generator) == 1
        frames = [target - gap, target, target + gap]
        image = film.clip.images(frames)
        images.append(image.flip(-1) if mirrored else image)
        pairs += [(3 * number, 3 * number + 1), (3 * number + 1, 3 * number + 2)]
        if film.clip.pairs:
            matches = film.clip.matches([(frames[0], frames[1]), (frames[1], frames[2])])
            forward.append(_mirror(matches.forward) if mirrored else matches.forward)
            backward.append(_mirror(matches.backward) if mirrored else matches.backward)
        if film.T_world_camera is not None:
            T = relative_pose(film.T_world_camera[frames[:2]], film.T_world_camera[frames[1:]])
            mirror = torch.diag(T.new_tensor([-1.0 if mirrored else 1.0, 1.0, 1.0, 1.0]))
            poses.append(mirror @ T @ mirror)
        if film.camera is not None:
            camera = Camera(film.camera.K[[target, target]], *film.camera.size)
            Ks.append((camera.flipped() if mirrored else camera).K)
            size = camera.size
    found = Matches(torch.tensor(pairs), _joined(forward), _joined(backward)) if forward else None
    return Shots(
        torch.stack(images),
        found,
        torch.cat(poses) if poses else None,
        Camera(torch.cat(Ks), *size) if size is not None else None,
    )


def _without_flow(videos: Videos, name: str, net_stride: int) -> MatchedClip:
    small = small_frames(videos.clip(name).image, net_stride)
    image = (small * 255).round().to(torch.uint8)
    return MatchedClip(name, image, {}, torch.empty(0, 2, 2, 1, 1), torch.empty(0, 2, 1, 1, dtype=torch.bool))


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


def _mirror(flow: Flow) -> Flow:
    return Flow(flow.flow.flip(-1) * flow.flow.new_tensor([-1.0, 1.0])[:, None, None], flow.visible.flip(-1))


def _joined(flows: list[Flow]) -> Flow:
    return Flow(torch.cat([flow.flow for flow in flows]), torch.cat([flow.visible for flow in flows]))
