"""Signals in a reply itself: from its token probabilities to one log-probability.

METHOD 3.2: for arithmetic the probability of the whole sequence tells right from wrong best, the 0.4-quantile of the
DoT predecessor is far weaker. Token probabilities are kept in order, never in a mapping keyed by token.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from langchain_r2.errors import BadValueError
from langchain_r2.transport import Reply

Signal = Callable[[Sequence[float]], float]
"""From the log-probabilities of the written tokens, in order, to one log-probability."""

FIRST_TOKEN_ENTROPY: Final = "first_token_entropy"  # noqa: S105 - the token of a text
"""How undecided the model was about its first token; read from the alternatives that it shows."""
ENTROPY_ALTERNATIVES: Final = 5
"""How many alternatives are asked for; endpoints give at most 5 to 20."""

Asked = Literal["agreement", "verifier"]
"""Signals that take further calls: how many samples of the model give the same answer, or what a verifier says."""


def sequence(logprobs: Sequence[float]) -> float:
    """Log-probability of the whole text: the default."""
    return math.fsum(logprobs)


def mean(logprobs: Sequence[float]) -> float:
    """Log-probability per token: for prose, where the probability of the whole is that of its length."""
    return math.fsum(logprobs) / len(logprobs) if logprobs else 0.0


def minimum(logprobs: Sequence[float]) -> float:
    """Log-probability of the least likely token."""
    return min(logprobs, default=0.0)


def quantile(alpha: float) -> Signal:
    """The alpha-quantile of the tokens' log-probabilities (Eq. 7 of the paper; DoT used 0.4)."""
    if not 0 <= alpha <= 1:
        raise BadValueError("alpha", alpha, "a number from 0 to 1")

    def signal(logprobs: Sequence[float]) -> float:
        if not logprobs:
            return 0.0
        ordered = sorted(logprobs)
        place = alpha * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    return signal


SIGNALS: Final[dict[str, Signal]] = {
    "sequence": sequence,
    "mean": mean,
    "minimum": minimum,
    "quantile_0.4": quantile(0.4),
}
"""Signals that are read from the written tokens' log-probabilities."""


def entropy(alternatives: Mapping[str, float]) -> float:
    """Entropy in nats of one token's alternatives, given as log-probabilities; what is not shown counts as one more."""
    shares = [math.exp(min(0.0, p)) for p in alternatives.values()]
    shares.append(max(0.0, 1 - math.fsum(shares)))
    return -math.fsum(p * math.log(p) for p in shares if p > 0)


def token_signal(name: str, reply: Reply) -> float | None:
    """The value of a token signal; None where the reply does not show what it is read from.

    A value of minus infinity says that a token had no probability at all.
    """
    if name == FIRST_TOKEN_ENTROPY:
        return -entropy(reply.alternatives[0]) if reply.alternatives and reply.alternatives[0] else None
    if name not in SIGNALS or not reply.token_logprobs:
        return None
    finite = all(math.isfinite(p) for p in reply.token_logprobs)
    return SIGNALS[name](reply.token_logprobs) if finite else -math.inf
