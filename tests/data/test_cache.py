"""A cached folder is whole or absent, whatever happens while it is made."""

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import filelock
import pytest

from stc_lab.data import atomic_folder, build_once, cache_root
from stc_lab.errors import InputError

FORK = multiprocessing.get_context("fork")


def fill(folder: Path) -> None:
    (folder / "a").write_text("whole")


def slow_fill(folder: Path, started: Path, seconds: float) -> None:
    with started.open("a") as log:
        log.write("started\n")
    (folder / "a").write_text("half")
    time.sleep(seconds)
    (folder / "a").write_text("whole")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)


def partials(parent: Path) -> list[Path]:
    return list(parent.glob(".*.partial-*"))


def test_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "c"))
    assert cache_root() == tmp_path / "c"
    assert not cache_root().exists()
    monkeypatch.delenv("STC_LAB_CACHE")
    assert cache_root().name == "stc_lab"


def test_builds_once(tmp_path: Path) -> None:
    folder = build_once(tmp_path / "deep" / "x", fill)
    assert (folder / "a").read_text() == "whole"
    build_once(folder, lambda _: pytest.fail("built twice"))
    assert not partials(folder.parent)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interruption_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(error):
        build_once(tmp_path / "x", interrupted)
    assert not (tmp_path / "x").exists()
    assert not partials(tmp_path)
    build_once(tmp_path / "x", fill)


def test_killed_process_leaves_nothing_usable(tmp_path: Path) -> None:
    folder, started = tmp_path / "x", tmp_path / "log"
    process = FORK.Process(target=build_once, args=(folder, lambda p: slow_fill(p, started, 60)))
    process.start()
    wait_for(started)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not folder.exists()
    assert len(partials(tmp_path)) == 1
    build_once(folder, fill)
    assert (folder / "a").read_text() == "whole"
    assert not partials(tmp_path)


def test_several_processes_build_once(tmp_path: Path) -> None:
    folder, started = tmp_path / "x", tmp_path / "log"

    def job() -> None:
        build_once(folder, lambda p: slow_fill(p, started, 0.3))
        assert (folder / "a").read_text() == "whole"

    processes = [FORK.Process(target=job) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert started.read_text().count("started") == 1


def test_sweeps_only_what_nobody_builds(tmp_path: Path) -> None:
    for name in ("dead", "alive"):
        (tmp_path / f".{name}.partial-0").mkdir()
    with filelock.FileLock(tmp_path / ".alive.lock"):
        build_once(tmp_path / "x", fill)
    assert [path.name for path in partials(tmp_path)] == [".alive.partial-0"]


def test_atomic_folder_never_overwrites(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "x") as partial:
        fill(partial)
        assert not (tmp_path / "x").exists()
    with pytest.raises(InputError, match="exists already"), atomic_folder(tmp_path / "x"):
        pytest.fail("entered")


def test_full_disk_is_named(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        fill(folder)
        try:
            with open("/dev/full", "w") as full:
                full.write("x")
        except OSError as error:
            raise RuntimeError("writer failed") from error  # as table writers wrap it

    with pytest.raises(InputError, match=r"disk or your quota is full; nothing half-written.*STC_LAB_CACHE"):
        build_once(tmp_path / "x", build)
    assert not (tmp_path / "x").exists()
    assert not partials(tmp_path)


def test_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(InputError, match=r"cannot write .*x: the folder is read-only.*STC_LAB_CACHE"):
            build_once(tmp_path / "x", fill)
    build_once(tmp_path / "x", fill)
    with monkeypatch.context() as patch:  # what is there can be read from a read-only disk
        patch.setattr(Path, "mkdir", refuse)
        build_once(tmp_path / "x", fill)


def test_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match=r"cache is a file where a folder is needed"):
        build_once(tmp_path / "cache" / "x", fill)


def test_errors_of_the_builder_pass_unchanged(tmp_path: Path) -> None:
    def build(_: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", "/elsewhere/file")

    with pytest.raises(PermissionError, match="elsewhere"):
        build_once(tmp_path / "x", build)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system in which no folder can be made")
def test_a_place_that_cannot_be_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot write /proc/nowhere/rooms/x: /proc/nowhere\S* cannot be made"):
        build_once(Path("/proc/nowhere/rooms/x"), lambda partial: None)
