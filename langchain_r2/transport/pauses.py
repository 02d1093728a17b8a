"""How long to wait between two tries."""

import random

from langchain_r2.errors import ModelCallError


def pause_s(error: ModelCallError, first_s: float, number: int) -> float:
    """The pause before try ``number`` (1 is the first retry).

    What the endpoint asks for is obeyed, with up to a tenth on top, so that those who were sent away together do not
    come back together; else the pause doubles each time.
    """
    asked = error.retry_after_s
    if asked:
        return asked * random.uniform(1.0, 1.1)  # noqa: S311 - jitter
    pause: float = first_s * 2.0 ** (number - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
    return pause
