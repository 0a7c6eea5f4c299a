"""Two processes train as one does: the same losses and the same weights from the same frames."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shared_training
import torch
from click.testing import CliRunner
from small_rooms import small_rooms

from stc_lab.cli import main
from stc_lab.errors import InputError
from stc_lab.models import FPNSegmenter, load_model
from stc_lab.training import ObjectiveRecipe, train_objective
from stc_lab.training.devices import Devices


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    small_rooms(folder)
    return folder


def test_two_processes_take_the_steps_of_one(cache: Path, tmp_path: Path) -> None:
    script = Path(shared_training.__file__)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(script), str(cache), str(tmp_path)),
    ]
    path = os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])
    surroundings = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["count"] for rank in ranks] == [2, 2]
    assert [rank["first"] for rank in ranks] == [True, False]
    (tmp_path / "one").mkdir()
    alone = shared_training.short_trainings(cache, tmp_path / "one")
    for name, recipe in shared_training.RECIPES.items():
        first, second = (rank[name] for rank in ranks)
        assert len(first["losses"]) == recipe.steps and second["losses"] == []  # one of them logs
        assert first["weights"] == second["weights"], "the processes drift apart"
        assert first["losses"] == pytest.approx(alone[name]["losses"], rel=2e-4)
        difference = torch.tensor(first["weights"]) - torch.tensor(alone[name]["weights"])
        assert float(difference.abs().max()) < 2e-3
        assert (tmp_path / f"{name}.safetensors").is_file()


def test_one_process_is_the_plain_net() -> None:
    devices = Devices(cpu=True)
    assert devices.count == 1 and devices.first and devices.device.type == "cpu"
    model = FPNSegmenter(5, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0)).train()
    images = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    plain = FPNSegmenter(5, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0)).train()
    got, expected = devices.coarse(model, images), plain.coarse(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    got.square().mean().backward()
    expected.square().mean().backward()
    devices.sum_gradients(model)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
    for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):  # running statistics
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_recipe_in_a_file_is_trained_and_kept(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"labelled": 4, "batch": 2, "steps": 2}))
    out = tmp_path / "net.safetensors"
    answer = CliRunner().invoke(main, ["train", str(recipe), "--out", str(out), "--preset", "tiny", "--cpu"])
    assert answer.exit_code == 0, answer.output
    assert "1 x cpu step 2/2" in answer.output
    stored = load_model(out)
    assert stored.metadata["recipe"]["steps"] == 2 and stored.metadata["processes"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors", "recipe.json"]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "cannot read a recipe"), ("[1]", "must hold a JSON object"), ('{"speed": 9}', "a recipe has no speed")],
)
def test_recipes_that_cannot_be_read(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    answer = CliRunner().invoke(main, ["train", str(tmp_path / "recipe.json"), "--out", str(tmp_path / "net")])
    assert answer.exit_code == 2 and said in answer.output


@pytest.mark.bad_input
def test_terms_that_cannot_be_shared_are_refused(cache: Path) -> None:
    videos = small_rooms(cache)
    model = FPNSegmenter(len(videos.info.classes), (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))
    recipe = ObjectiveRecipe(terms=(("contrastive", 0.1),), labelled=4, batch=2, pairs=2, steps=1)
    with pytest.raises(InputError, match="cannot be shared by devices"):
        train_objective(model, videos, recipe, devices=Devices(cpu=True))


@pytest.mark.bad_input
def test_other_processes_than_torchrun_started_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Devices(cpu=True)  # accelerate looks at the environment once
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"torchrun started 2 processes, but accelerate sees 1"):
        Devices(cpu=True)
