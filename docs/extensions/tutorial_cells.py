"""What a tutorial imports in its hidden first cell: it works in build/tutorials, and `%%bash` shows what a terminal shows."""

import os
import subprocess

from IPython.core.magic import register_cell_magic

os.makedirs(os.environ["TUTORIALS"], exist_ok=True)
os.chdir(os.environ["TUTORIALS"])
# Jupyter asks programs for colours, which these pages cannot show.
for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)


@register_cell_magic
def bash(line: str, cell: str) -> None:
    """Run the commands, print all that they print in its order, and raise an error if one fails.

    IPython's own `%%bash` prints in pieces of 100 letters, which end up on lines of their own, and errors after the rest.
    """
    done = subprocess.run(["bash", "-ec", cell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="")
    done.check_returncode()
