"""Recipes of the notebooks, and runs: one recipe executed in batch and kept in a folder.

Imports stay light here, for the sake of the command line: import the modules for the rest.
"""

from stc_lab.experiments.places import figures_folder, real_data_root
from stc_lab.experiments.report import report

__all__ = ["figures_folder", "real_data_root", "report"]
