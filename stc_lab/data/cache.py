"""The cache folder, and how a folder gets there whole or not at all."""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stc_lab.errors import InputError

_PARTIAL = ".partial-"  # a temporary is .<folder name>.partial-<random>, beside the folder it will become
_LOCK = ".lock"
_log = logging.getLogger(__name__)


def cache_root() -> Path:
    """Folder of all that can be rendered again: `STC_LAB_CACHE`, or the user's cache folder. Not created here."""
    chosen = os.environ.get("STC_LAB_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("stc_lab", appauthor=False))


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give an empty temporary folder to fill, which becomes `folder` at the end of the `with` block.

    An exception or Ctrl-C in the block removes the temporary; a killed process leaves one that no reader takes for the
    folder and that `build_once` sweeps.
    """
    partial = folder.parent / f".{folder.name}{_PARTIAL}{uuid.uuid4().hex}"
    with _readable_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            raise InputError(f"{folder} exists already", hint="it is never overwritten: remove it or take another name")
        partial.mkdir()
        try:
            yield partial
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, after `build(temporary)` has filled it if it did not exist.

    Of several processes that ask at once, one builds and the others wait. A folder that exists is complete: it came
    there by a rename. Temporaries of killed processes are swept before building.
    """
    if folder.is_dir():  # also on a read-only disk, where no lock can be taken
        return folder
    import filelock

    with _readable_disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(_lock_file(folder.parent, folder.name))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            _log.info("another process is building %s: waiting for it", folder)
            lock.acquire()
        try:
            if not folder.is_dir():
                _sweep(folder.parent, holding=folder.name)
                with atomic_folder(folder) as partial:
                    build(partial)
        finally:
            lock.release()
    return folder


def build_current(base: Path, is_current: Callable[[Path], bool], build: Callable[[Path], None]) -> Path:
    """Return a folder in `base` for which `is_current` holds, after building one if there is none.

    For what can go out of date: each version has a folder of its own, and those that are out of date are removed when
    a new one is there. Interruption and several processes at once are handled as in `build_once`.
    """
    import filelock

    with _readable_disk_errors(base):
        base.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(_lock_file(base.parent, base.name)):
            kept = sorted(folder for folder in base.iterdir() if not folder.name.startswith("."))
            for folder in kept:
                if is_current(folder):
                    return folder
            for partial in base.glob(f".*{_PARTIAL}*"):  # whoever filled it is dead: we hold the lock
                shutil.rmtree(partial, ignore_errors=True)
            new = base / uuid.uuid4().hex[:12]
            with atomic_folder(new) as partial:
                build(partial)
            for folder in kept:  # a reader that has one mapped keeps it
                shutil.rmtree(folder, ignore_errors=True)
    return new


def _lock_file(parent: Path, name: str) -> Path:
    return parent / f".{name}{_LOCK}"


def _sweep(parent: Path, *, holding: str) -> None:
    """Remove temporaries that nobody fills any more: those whose lock is free, and our own name's."""
    import filelock

    for partial in parent.glob(f".*{_PARTIAL}*"):
        name = partial.name[1:].rsplit(_PARTIAL, 1)[0]
        if name == holding:
            shutil.rmtree(partial, ignore_errors=True)
            continue
        lock = filelock.FileLock(_lock_file(parent, name))
        try:
            with lock.acquire(timeout=0):
                shutil.rmtree(partial, ignore_errors=True)
        except filelock.Timeout:
            continue


@contextmanager
def _readable_disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = _disk_reason(error, folder)
        if reason is None:
            raise
        message, hint = reason
        raise InputError(f"cannot write {folder}: {message}; nothing half-written is left", hint=hint) from error


def _disk_reason(error: BaseException | None, folder: Path) -> tuple[str, str] | None:
    """What the disk said, looked up through wrapped exceptions (writers wrap the system's error in their own)."""
    while error is not None:
        if isinstance(error, OSError):
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return "the disk or your quota is full", "make room, or point STC_LAB_CACHE to a folder on another disk"
            about = Path(os.fsdecode(error.filename)) if error.filename else folder
            ours = folder.parent in about.parents or about in (folder, *folder.parents)
            if ours and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return (
                    "the folder is read-only for this user",
                    "point STC_LAB_CACHE to a folder that you may write to, and check who owns this one",
                )
            if ours and error.errno in (errno.ENOTDIR, errno.EEXIST):
                return f"{about} is a file where a folder is needed", "move that file, or point STC_LAB_CACHE elsewhere"
            if about in folder.parents and error.errno == errno.ENOENT:
                return f"{about} cannot be made", "point STC_LAB_CACHE to a folder on a disk that is there"
        error = error.__cause__ or error.__context__
    return None
