"""`stc-lab data`: lists, tells, checks and shows data sets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from miniatures import write_camvid, write_icl
from PIL import Image

from stc_lab.cli import main
from stc_lab.data import available
from stc_lab.data.load import load_info


def said(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", *arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "CamVid", {"0001TP": [30, 60, 90]})


def test_list_names_all_and_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camvid_15hz").mkdir()
    monkeypatch.setenv("STC_LAB_DATA", str(tmp_path))
    answer = said("list")
    lines = {line.split()[0]: line for line in answer.output.splitlines()}
    assert answer.exit_code == 0 and tuple(lines) == available()
    assert lines["camvid"].endswith("in STC_LAB_DATA: val") and lines["icl"].endswith("needs --root")


@pytest.mark.parametrize("name", available())
def test_info_says_what_is_true(name: str) -> None:
    answer = said("info", name)
    info = load_info(name)
    assert answer.exit_code == 0
    for fact in (info.licence, info.reference, f"{info.frame_rate:g} Hz", ", ".join(info.splits), *info.classes):
        assert fact in answer.output


def test_check_of_a_sound_copy(root: Path) -> None:
    answer = said("check", "camvid", "--root", str(root))
    assert answer.exit_code == 0, answer.output
    for words in (
        "3 in 1 videos",
        "12 x 16",
        "label            of 3 frames",
        "Road",
        "a full run",
        "problems         none",
    ):
        assert words in answer.output


def test_check_names_all_problems_and_fails(root: Path) -> None:
    (root / "train" / "0001TP_000030.png").unlink()
    (root / "trainannot" / "0001TP_000090.png").write_text("")
    answer = said("check", "camvid", "--root", str(root), "--threads", "1")
    assert answer.exit_code == 1
    assert "problems         2" in answer.output
    assert "000030.png is missing" in answer.output and "000090.png (0 bytes) cannot be decoded" in answer.output


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "kitty"), "unknown data set: 'kitty'; legal: rooms, "),
        (("check", "camvid", "--root", "nowhere"), "folder nowhere of data set 'camvid' is missing"),
        (("check", "camvid", "--split", "exam"), "unknown split of 'camvid': 'exam'; legal: train, val, test"),
        (("check", "icl", "--root", ".", "-o", "colour", "3"), "unknown option of 'icl': 'colour'"),
        (("preview", "rooms", "-o", "preset", "huge"), "unknown preset of 'rooms': 'huge'"),
        (("preview", "rooms", "-o", "preset", "tiny", "--frames", "0"), "frames must be at least 1"),
    ],
)
def test_mistakes_are_messages(arguments: tuple[str, ...], words: str) -> None:
    answer = said(*arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr and "Traceback" not in answer.output


def test_preview_draws_what_is_known(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    answer = said("preview", "rooms", "-o", "preset", "tiny", "--out", str(out), "--frames", "2")
    assert answer.exit_code == 0 and answer.output.strip() == str(out)
    with Image.open(out) as sheet:
        three = sheet.width
        assert len(set(sheet.convert("RGB").get_flattened_data())) > 200
    said("preview", "icl", "--root", str(write_icl(tmp_path / "living", 2)), "--out", str(out))
    with Image.open(out) as sheet:
        assert sheet.width < three  # no labels
    answer = said("preview", "rooms", "-o", "preset", "tiny", "--out", str(tmp_path / "no" / "x.png"))
    assert answer.exit_code == 2 and "cannot write" in answer.stderr


def test_the_split_that_is_meant() -> None:
    from stc_lab.data.facts import first_split

    assert first_split("davis", None) == "val"  # the one with a folder in STC_LAB_DATA
    assert first_split("davis", "somewhere") == load_info("davis").splits[0] == "train"
    assert first_split("scannet", None) == "train"


def test_options_are_typed() -> None:
    from stc_lab.cli import _values

    assert _values((("a", "3"), ("b", "0.5"), ("c", "true"), ("d", "tiny"), ("e", "null"))) == {
        "a": 3,
        "b": 0.5,
        "c": True,
        "d": "tiny",
        "e": None,
    }


def test_help_of_the_group_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from stc_lab.cli import main; "
        "print(CliRunner().invoke(main, ['data', '--help']).output); "
        "import json; print(json.dumps([n for n in ('torch', 'datasets', 'pyarrow', 'PIL') if n in sys.modules]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, heavy = answer.stdout.strip().splitlines()
    assert json.loads(heavy) == []
    assert all(command in "\n".join(text) for command in ("list", "info", "check", "preview"))
