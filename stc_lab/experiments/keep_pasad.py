"""Keep the full study in the repository: `python -m stc_lab.experiments.keep_pasad`, after `stc-lab reproduce pasad`.

Writes the small results, the gallery and how far labels reach beside this module, the published pictures into figures/,
and the table into the README, between its two marks.
"""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_gallery import KEPT_GALLERY, keep_gallery, store_gallery
from stc_lab.experiments.pasad_results import KEPT, Result, keep_results, kept_study
from stc_lab.experiments.pasad_tables import readme_table
from stc_lab.experiments.places import figures_folder, project_root
from stc_lab.experiments.store import job_seconds, results, store_of
from stc_lab.experiments.study_reach import keep_reach, study_reach

PROFILE = "full"
BEGIN, END = "<!-- pasad: begin -->", "<!-- pasad: end -->"


PICTURES = (
    "label_efficiency",
    "gains",
    "label_equivalence",
    "ablation",
    "rare_classes",
    "rare_classes_best",
    "gallery",
)


def with_table(
    readme: str, kept: Sequence[Result], progress: str, *, seconds: float = math.nan, picture: str = ""
) -> str:
    """The README's text with the table of these results between its marks; InputError where they are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no {BEGIN} ... {END}", hint="put both where the table is to stand")
    seeds = len({result["seed"] for result in kept})
    took = "" if math.isnan(seconds) else f", in jobs of one thread that took {seconds / 3600:.1f} hours in all"
    text = (
        "Table 1 of Pasad et al. on rooms that nothing was chosen on: mean IoU in per cent, mean ± sample deviation of "
        f"{seeds} seeds, gains\npaired by seed with Student's 95 % interval ({progress}{took}).\n"
        "[05](notebooks/05_label_efficiency_and_ablation.ipynb) has the verdicts."
    )
    shown = f"\n![Gain of each row over the continued baseline, by number of labels]({picture})\n" if picture else ""
    return f"{before}{BEGIN}\n{text}\n\n{readme_table(kept)}\n{shown}{END}{after}"


def keep_study(root: Path | None = None, *, readme: Path | None = None) -> list[Path]:
    """Keep what the store has of the full study; the files that were written. Nothing is written without results."""
    found = results(PROFILE, root)
    if not found:
        raise InputError(
            "the store has no results of the full study", hint=f"stc-lab reproduce pasad --profile {PROFILE}"
        )
    page = project_root() / "README.md" if readme is None else readme
    text = page.read_text(encoding="utf-8")
    with_table(text, found, "")  # before anything is written: are the marks there?
    written = [keep_results(found, KEPT, job_seconds=job_seconds(PROFILE, root)), keep_reach(study_reach(PROFILE))]
    frames = store_gallery(PROFILE, root=root)
    if frames:
        written.append(keep_gallery(frames, KEPT_GALLERY))
    pictures = keep_pictures(store_of("pasad", PROFILE, root).folder / "published")
    gains = "".join(f"figures/{path.name}" for path in pictures if path.stem == "pasad_gains")
    study = kept_study()
    new = with_table(text, study.results, str(study.progress), seconds=study.seconds, picture=gains)
    page.write_text(new, encoding="utf-8")
    return [*written, *pictures, page]


def keep_pictures(published: Path, folder: Path | None = None) -> list[Path]:
    """Copy the pictures of the published study that there are; InputError when none of its figures became one."""
    folder = figures_folder() if folder is None else folder
    found = [path for name in PICTURES if (path := published / f"{name}.png").is_file()]
    if published.is_dir() and not found:
        raise InputError(f"no picture in {published}", hint="a browser makes them: make browser, then the study again")
    return [Path(shutil.copyfile(path, folder / f"pasad_{path.name}")) for path in found]


if __name__ == "__main__":
    for path in keep_study():
        print(path)
