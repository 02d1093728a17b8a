"""The embedded router's adapters as supervised training left them: what reinforcement starts from and has to beat.

The shipped ones may have been reinforced since (``training/embedded/ship.py``); ``make embedded`` writes both.
"""

import shutil
from pathlib import Path
from typing import Final

from training.sft_data import ROLES

SUPERVISED: Final = Path(__file__).parent
"""Has a folder for each role."""


def keep_supervised(home: Path, folder: Path = SUPERVISED) -> None:
    """Keep the adapters of models that were just trained."""
    for role in ROLES:
        shutil.copytree(home / "router" / role, folder / role, dirs_exist_ok=True)
