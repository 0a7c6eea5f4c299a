"""Is there a browser that could move a slider?"""

import os
import sys

from stc_lab.experiments.places import RUN_FOLDER


def live_lab() -> bool:
    """Whether this kernel belongs to JupyterLab, Notebook, Voila, VS Code or Colab, and to no batch run.

    Kernels of papermill, nbval and nbconvert are none of these: nobody would see a widget there.
    """
    if RUN_FOLDER in os.environ or "IPython" not in sys.modules:
        return False
    if "JPY_SESSION_NAME" in os.environ or os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return True
    from IPython import get_ipython

    shell = get_ipython()
    return "google.colab" in sys.modules or (shell is not None and "__vsc_ipynb_file__" in shell.user_ns)
