"""Which results a chapter shows: those that are kept, those of a study that is under way, or those made live."""

from collections.abc import Callable

from stc_lab.experiments.pasad_results import KeptStudy, kept_study, progress_of
from stc_lab.experiments.store import results


def shown_study(profile: str, *, live: bool, write: Callable[[str], None] = print) -> KeptStudy:
    """With `live` the runs of `profile`, those that are missing made first; else the full study, as far as it is.

    The full study is the kept one, or that of the store where it has come farther.
    """
    if not live:
        kept, stored = kept_study(), results("full")
        return kept if len(kept.results) >= len(stored) else KeptStudy(stored, progress_of(stored, "full"))
    from stc_lab.experiments.batch import reproduce

    reproduce("pasad", profile, write=write)
    found = results(profile)
    return KeptStudy(found, progress_of(found, profile))
