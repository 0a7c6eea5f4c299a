"""What makes the photometric way of learning depth work at this size: one switch at a time, judged on validation rooms.

    python -m stc_lab.experiments.photometric_study --out photometric_study.json

trains every setting of `SETTINGS` and adds its row to the file; rows that are there are not repeated. The file that
comes with the package also has two settings, the default and monodepth2's, with `--seed 1 --seed 2`, and the default
with `--steps 1000`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_rooms import DEPTH_ROOMS, depth_rooms
from stc_lab.experiments.photometric_probes import error_levels, focal_pull
from stc_lab.experiments.report import write_json
from stc_lab.metrics.depth import DepthScorer, best_constant
from stc_lab.models import DepthNet, load_shipped
from stc_lab.training.depth import predict_depth
from stc_lab.training.depth_photometric import train_photometric
from stc_lab.training.depth_photometric_recipe import PhotometricRecipe

COMMAND = "python -m stc_lab.experiments.photometric_study"
KEPT = Path(__file__).with_name("results") / "photometric_study.json"
SHIPPED = "rooms_depth"  # the net that flow taught
_EVERY = 2  # of the validation frames, every second one is judged


@dataclass(frozen=True)
class Setting:
    """One row of the study: what differs from the default recipe, and what that asks."""

    question: str
    published: str = ""  # the loss whose published set-up is the base; else the default recipe is
    changes: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""  # a shipped net to go on from

    def recipe(self, steps: int, seed: int = 0) -> PhotometricRecipe:
        changes = {"steps": steps, "seed": seed, **self.changes}
        if self.published:
            return PhotometricRecipe.published(self.published, **changes)
        return PhotometricRecipe.preset("full", **changes)


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "fitted motion": Setting("the default: motion and focal length found from flow, depth from the error"),
        "true motion": Setting(
            "motion and focal length known, as a control",
            changes={"pose": "true", "focal": "given", "keep_unit": False},
        ),
        "monodepth2, published": Setting("a motion net beside the depth net, focal length known", "monodepth2"),
        "gordon, published": Setting("a motion net as well, a learned focal length, RGB-D consistency", "gordon"),
        "published, coarse to fine": Setting(
            "errors on frames 8, 4, 2 times smaller in turn", "monodepth2", {"loss_strides": (8, 4, 2)}
        ),
        "motion net first": Setting(
            "a motion net that matches features, taught by fitted motions for 40 % of the steps, then left alone",
            changes={"pose": "net", "focal": "given", "pose_first": 0.4},
        ),
        "focal length by the error": Setting(
            "fitted motion, but the error's gradient moves f", "", {"focal": "learned"}
        ),
        "unit free": Setting("fitted motion, and nothing holds the unit of depth", "", {"keep_unit": False}),
        "gordon, fitted motion": Setting(
            "the other loss with the fitted motion", "", {"loss": "gordon", "smoothness": 1e-2}
        ),
        "larger frames": Setting("nets and errors at 128 x 192", "", {"net_stride": 1, "loss_strides": (1,)}),
        "last stage": Setting(
            "goes on from the net that flow taught",
            changes={"learning_rate": 2e-4, "first_focal": 0.7},
            start=SHIPPED,
        ),
    }
)


@dataclass(frozen=True)
class PhotometricRow:
    """What a setting came to."""

    name: str
    steps: int
    abs_rel: float  # of validation frames, median-scaled
    a1: float
    constant: float  # abs_rel of the best constant
    focal_error: float  # learned over true focal length, minus 1
    seconds: float  # CPU time of the training, or of its last part if it was interrupted
    recipe: dict[str, Any]


def photometric_row(
    name: str,
    train: Videos,
    val: Videos,
    *,
    steps: int,
    seed: int = 0,
    cache: Path | str | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Path | str | None = None,
) -> PhotometricRow:
    """Train one setting on `train` and judge it on `val`. With `checkpoint`, a run that was interrupted goes on."""
    if name not in SETTINGS:
        raise InputError(f"settings are {', '.join(SETTINGS)}, got {name!r}")
    setting = SETTINGS[name]
    recipe = setting.recipe(steps, seed)
    start = _shipped_depth(setting.start) if setting.start else None
    began = time.process_time()
    training = train_photometric(train, recipe, cache=cache, log=log, start=start, checkpoint=checkpoint)
    seconds = time.process_time() - began
    learned, constant, ratio = depth_of_rooms(training.net, val, net_stride=recipe.net_stride)
    scores = learned.results()
    return PhotometricRow(
        name,
        steps,
        scores.abs_rel,
        scores.a1,
        constant.results().abs_rel,
        training.focal_ratio / ratio - 1,
        seconds,
        recipe.to_dict(),
    )


def kept_photometric(path: Path = KEPT) -> dict[str, Any]:
    """The study that comes with the package: rows by setting, steps and seed, and what the probes found."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def depth_of_rooms(net: DepthNet, videos: Videos, *, net_stride: int) -> tuple[DepthScorer, DepthScorer, float]:
    """Scores of the net and of the best constant, and the true focal length over the width."""
    learned, constant, ratio = DepthScorer(), DepthScorer(), 0.0
    for name in videos.names:
        clip = videos.clip(name, step=_EVERY)
        clip.require("depth", "camera")
        assert clip.depth is not None and clip.camera is not None
        learned.update(predict_depth(net, clip.image, net_stride=net_stride), clip.depth)
        constant.update(best_constant(clip.depth), clip.depth)
        ratio = float(clip.camera.K[0, 0, 0]) / clip.camera.width
    return learned, constant, ratio


def _shipped_depth(name: str) -> DepthNet:
    net = load_shipped(name).model
    if not isinstance(net, DepthNet):
        raise InputError(f"{name!r} is no depth net")
    return net


@click.command(help=__doc__)
@click.option("--preset", default="full", type=click.Choice(sorted(DEPTH_ROOMS)), help="Rooms to train and judge on.")
@click.option("--setting", "names", multiple=True, help="Only this row; may be given several times.")
@click.option("--steps", default=300, help="Of each training.")
@click.option("--seed", "seeds", multiple=True, default=(0,), help="Of each training; may be given several times.")
@click.option("--out", default="photometric_study.json", type=click.Path(path_type=Path))
def main(preset: str, names: tuple[str, ...], steps: int, seeds: tuple[int, ...], out: Path) -> None:
    train, val = (depth_rooms(split, preset) for split in ("train", "val"))
    found: dict[str, Any] = (
        kept_photometric(out) if out.exists() else {"command": COMMAND, "preset": preset, "rows": {}}
    )
    if "error_levels" not in found:
        found["error_levels"] = [asdict(level) | {"contrast": level.contrast} for level in error_levels(val)]
        found["focal_pull"] = {
            depth: [asdict(pull) for pull in focal_pull(train, flat=depth == "flat")] for depth in ("true", "flat")
        }
        write_json(out, found)
    if "shipped" not in found:
        learned, _, _ = depth_of_rooms(_shipped_depth(SHIPPED), val, net_stride=2)
        found["shipped"] = {"abs_rel": learned.results().abs_rel, "a1": learned.results().a1}
        write_json(out, found)
    for name, seed in ((name, seed) for name in names or SETTINGS for seed in seeds):
        key = f"{name}, {steps} steps, seed {seed}"
        if key in found["rows"]:
            continue
        state = out.with_name(f".{out.stem}.{'-'.join(key.replace(',', '').split())}.pt")
        row = photometric_row(name, train, val, steps=steps, seed=seed, log=_progress(name), checkpoint=state)
        found = kept_photometric(out)  # other rows may have been added meanwhile
        found["rows"] |= {key: asdict(row)}
        write_json(out, found)
        state.unlink(missing_ok=True)
        click.echo(f"{key}: abs_rel {row.abs_rel:.3f} of {row.constant:.3f}, f {row.focal_error:+.1%}")


def _progress(name: str) -> Callable[[dict[str, Any]], None]:
    def log(entry: dict[str, Any]) -> None:
        if entry["step"] % 50 == 0:
            click.echo(f"{name} {entry['step']}/{entry['steps']}: {entry['loss']:.4f}, f {entry['focal_ratio']:.3f}")

    return log


if __name__ == "__main__":
    main()
