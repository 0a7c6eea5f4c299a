"""The loop: it learns, its controls are controls, and a resumed run is the run."""

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.models import FPNSegmenter, save_model, upsample_strided
from stc_lab.training import FrameMemory, SegmentationRecipe, evaluate, print_progress, train
from stc_lab.training.supervised import class_weights, cross_entropy, set_training

SHORT = {"steps": 20, "labelled": 3, "batch": 2}
PAIRS = {**SHORT, "pairs": 2, "gaps": (1, 2), "freeze_batch_norm": True, "learning_rate": 1e-3}


def weights_of(model: FPNSegmenter) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_overfits_a_few_labelled_frames(videos, new_model):
    entries: list[dict] = []
    recipe = SegmentationRecipe(steps=80, labelled=2, batch=2, learning_rate=1e-2, flip=False, zoom=1, jitter=0)
    result = train(new_model(), videos, recipe, log=entries.append)
    first, last = entries[0]["ce"], sum(entry["ce"] for entry in entries[-5:]) / 5
    assert first > 1.2 and last < 0.2
    clip = videos.frames(result.labelled_rows)
    accuracy = (result.model(clip.image).argmax(1)[:, ::2, ::2] == clip.label[:, ::2, ::2]).float().mean()
    assert float(accuracy) > 0.95 and not result.model.training
    assert len(result.labelled_rows) == 2 and result.first_step == 0 and result.seconds > 0


def test_the_log_has_one_entry_per_step_with_the_parts_of_the_loss(videos, new_model):
    entries: list[dict] = []
    recipe = SegmentationRecipe(**PAIRS)
    train(new_model(), videos, recipe, log=entries.append)
    assert [entry["step"] for entry in entries] == list(range(1, 21)) and {e["steps"] for e in entries} == {20}
    for entry in entries:
        parts = 0.2 * entry["uniform"] + 0.4 * entry["label_prior"] + 0.4 * entry["pixel_prior"]
        assert entry["consistency"] == pytest.approx(parts, rel=1e-4)
        assert entry["loss"] == pytest.approx(entry["ce"] + entry["weight"] * entry["consistency"], rel=1e-4)
        assert 0.8 < entry["visible"] < 1 and entry["skipped"] == 0
    assert [entry["weight"] for entry in entries[:5]] == pytest.approx([0, 0.075, 0.15, 0.225, 0.3])
    assert max(entry["learning_rate"] for entry in entries) == pytest.approx(1e-3, rel=0.05)


def test_consistency_makes_the_logits_consistent(videos, new_model):
    start = train(new_model(), videos, SegmentationRecipe(steps=20, labelled=3, batch=3)).model
    recipe = SegmentationRecipe(**{**PAIRS, "steps": 30, "weight": 3.0})
    entries: list[dict] = []
    train(new_model(), videos, recipe, start_from=start, log=entries.append)
    first, last = (sum(e["consistency"] for e in part) for part in (entries[:8], entries[-8:]))
    assert last < 0.6 * first


def test_without_the_loss_pairs_change_nothing(videos, new_model):
    """The control without loss is, step for step, the supervised run on the same labelled batches."""
    none, alone, with_loss = (new_model() for _ in range(3))
    train(none, videos, SegmentationRecipe(**PAIRS, warp="none"))
    train(alone, videos, SegmentationRecipe(**{**PAIRS, "pairs": 0}))
    train(with_loss, videos, SegmentationRecipe(**PAIRS))
    assert same(weights_of(none), weights_of(alone)) and not same(weights_of(none), weights_of(with_loss))


def test_all_rows_see_the_same_labelled_batches_and_pairs(videos, new_model):
    logs: dict[str, list[dict]] = {"geometry": [], "identity": [], "none": []}
    for warp, entries in logs.items():
        recipe = SegmentationRecipe(**{**PAIRS, "learning_rate": 1e-9, "steps": 4}, warp=warp)
        train(new_model(), videos, recipe, log=entries.append)
    ce = {warp: [entry["ce"] for entry in entries] for warp, entries in logs.items()}
    assert ce["none"] == pytest.approx(ce["geometry"], rel=1e-4)
    assert ce["identity"] == pytest.approx(ce["geometry"], rel=1e-4)
    visible = {warp: [entry["visible"] for entry in logs[warp]] for warp in ("geometry", "identity")}
    assert visible["geometry"] == visible["identity"]
    assert [e["uniform"] for e in logs["geometry"]] != [e["uniform"] for e in logs["identity"]]


def test_frozen_statistics_stay_and_others_move(videos, new_model):
    model = new_model()
    before = weights_of(model)
    train(model, videos, SegmentationRecipe(**{**PAIRS, "steps": 3}))
    statistics = [name for name in before if "running" in name]
    assert statistics and all(torch.equal(before[name], model.state_dict()[name]) for name in statistics)
    train(model, videos, SegmentationRecipe(**{**SHORT, "steps": 3}))
    assert not any(torch.equal(before[name], model.state_dict()[name]) for name in statistics)


@pytest.mark.parametrize("settings", [SHORT, PAIRS], ids=["baseline", "continuation"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(videos, new_model, tmp_path, settings):
    recipe = SegmentationRecipe(**settings)
    whole, log = new_model(), []
    train(whole, videos, recipe, log=log.append)

    class Killed(BaseException):
        pass

    def kill(entry: dict) -> None:
        if entry["step"] == 13:
            raise Killed

    file = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        train(new_model(), videos, recipe, checkpoint=file, checkpoint_every=5, log=kill)
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]
    resumed, rest = new_model(), []
    result = train(resumed, videos, recipe, checkpoint=file, checkpoint_every=5, log=rest.append)
    assert result.first_step == 10 and rest == log[10:]
    assert same(weights_of(whole), weights_of(resumed))
    again = train(new_model(), videos, recipe, checkpoint=file)  # finished: nothing is left to do
    assert again.first_step == 20 and same(weights_of(whole), weights_of(again.model))


def test_runs_differ_by_seed_and_not_otherwise(videos, new_model):
    a, b, c = new_model(), new_model(), new_model()
    torch.manual_seed(1)
    train(a, videos, SegmentationRecipe(**PAIRS))
    torch.manual_seed(2)
    train(b, videos, SegmentationRecipe(**PAIRS), memory=FrameMemory(videos, limit=0))
    train(c, videos, SegmentationRecipe(**PAIRS, seed=1))
    assert same(weights_of(a), weights_of(b)) and not same(weights_of(a), weights_of(c))


def test_class_weights_favour_the_rare_and_keep_the_mean(videos):
    memory = FrameMemory(videos)
    rows = [0, 9]
    counts = torch.bincount(videos.frames(rows).label.flatten(), minlength=4).double()
    f = counts / counts.sum()
    weights = class_weights(memory, rows, 4, power=0.5)
    expected = f.clamp(min=0.002) ** -0.5
    torch.testing.assert_close(weights.double(), expected / (f * expected).sum(), rtol=1e-5, atol=0)
    assert torch.equal(class_weights(memory, rows, 4, power=0.0), torch.ones(4))
    missing = class_weights(memory, rows, 6, power=0.25)
    assert bool(torch.isfinite(missing).all()) and missing[5] == missing.max()


def test_ignored_pixels_do_not_count_and_none_at_all_is_zero():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.randint(3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    labels[0] = 255
    weights = torch.tensor([1.0, 2.0, 0.5])
    expected = torch.nn.functional.cross_entropy(logits[1:], labels[1:], weight=weights)
    torch.testing.assert_close(cross_entropy(logits, labels, weights), expected)
    nothing = cross_entropy(logits, torch.full_like(labels, 255), weights)
    nothing.backward()
    assert float(nothing.detach()) == 0 and float(logits.grad.abs().sum()) == 0


def test_setting_training_freezes_only_batch_norm(new_model):
    model = new_model().eval()
    set_training(model, freeze_batch_norm=True)
    modes = {type(module).__name__: module.training for module in model.modules()}
    assert modes["Conv2d"] and not modes["BatchNorm2d"]


def test_progress_prints_one_line_for_so_many_steps():
    lines: list[str] = []
    log = print_progress(2, label="baseline", write=lines.append)
    for step, loss in enumerate((1.0, 3.0, 5.0), start=1):
        log({"step": step, "steps": 3, "loss": loss, "ce": loss, "learning_rate": 1e-3})
    assert len(lines) == 2
    assert lines[0].startswith("baseline step 2/3  loss 2.000  ce 2.000  (")
    assert lines[1].startswith("baseline step 3/3  loss 5.000")


def test_a_loss_that_is_no_number_stops_the_run(videos, new_model):
    model = new_model()
    torch.nn.init.constant_(model.classify.bias, torch.inf)
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0: lower the learning rate"):
        train(model, videos, SegmentationRecipe(**SHORT))


@pytest.mark.bad_input
def test_what_does_not_fit_is_named_before_anything_is_trained(videos, new_model, make_videos, tmp_path):
    recipe = SegmentationRecipe(**SHORT)
    with pytest.raises(InputError, match="count must lie between 1 and the 24"):
        train(new_model(), videos, SegmentationRecipe(labelled=200))
    small = FPNSegmenter(3, (4, 4, 4, 4), 4)
    with pytest.raises(InputError, match=r"video 'poster_.' has labels 0 to 3, but the model knows classes 0 to 2"):
        train(small, videos, recipe)
    with pytest.raises(InputError, match=r"start_from holds .*'num_classes': 3.* but the model to train is"):
        train(new_model(), videos, recipe, start_from=save_model(tmp_path / "small", small))
    with pytest.raises(InputError, match="memory holds frames of other videos"):
        train(new_model(), videos, recipe, memory=FrameMemory(make_videos()))
    with pytest.raises(InputError, match="checkpoint_every must be at least 1"):
        train(new_model(), videos, recipe, checkpoint=tmp_path / "x", checkpoint_every=0)


@pytest.mark.bad_input
def test_a_checkpoint_of_another_run_is_refused_and_kept(videos, new_model, make_videos, tmp_path):
    file = tmp_path / "run.safetensors"
    recipe = SegmentationRecipe(**{**SHORT, "steps": 2})
    train(new_model(), videos, recipe, checkpoint=file)
    kept = file.read_bytes()
    other = SegmentationRecipe(**{**SHORT, "steps": 2, "learning_rate": 1e-4})
    with pytest.raises(InputError, match=r"belongs to another run \(recipe learning_rate: 0.003 there, 0.0001 here\)"):
        train(new_model(), videos, other, checkpoint=file)
    with pytest.raises(InputError, match=r"first weights: .* there, .* here"):
        train(new_model(seed=1), videos, recipe, checkpoint=file)
    with pytest.raises(InputError, match=r"data: .* there, .* here"):
        train(new_model(), make_videos(seed=1), recipe, checkpoint=file)
    assert file.read_bytes() == kept
    model_file = save_model(tmp_path / "model.safetensors", new_model())
    with pytest.raises(InputError, match=r"model.safetensors is no training checkpoint"):
        train(new_model(), videos, recipe, checkpoint=model_file)
    file.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(InputError, match="no readable safetensors file"):
        train(new_model(), videos, recipe, checkpoint=file)


class ColourReader(torch.nn.Module):
    """A net of another make: one 1x1 convolution on every fourth pixel."""

    num_classes, coarse_stride = 4, 4
    architecture: dict[str, object] = {"name": "ColourReader"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.classify = torch.nn.Conv2d(3, 4, kernel_size=1)
        torch.nn.init.zeros_(self.classify.weight)
        torch.nn.init.zeros_(self.classify.bias)

    def coarse(self, images: torch.Tensor) -> torch.Tensor:
        return self.classify(images[..., ::4, ::4])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return upsample_strided(self.coarse(images), *images.shape[-2:], stride=4)


def test_a_net_of_another_make_is_trained_resumed_and_evaluated(videos, tmp_path):
    recipe = SegmentationRecipe(**{**PAIRS, "steps": 40, "learning_rate": 0.2})
    entries: list[dict] = []
    result = train(ColourReader(), videos, recipe, checkpoint=tmp_path / "c", log=entries.append)
    assert entries[-1]["ce"] < 0.7 * entries[0]["ce"]
    again = train(ColourReader(), videos, recipe, checkpoint=tmp_path / "c")
    assert again.first_step == 40 and torch.equal(again.model.classify.weight, result.model.classify.weight)
    scores = evaluate(result.model, videos, fusion=True)
    assert scores.fusion is not None and scores.scores.accuracy > 0.6
