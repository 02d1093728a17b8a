"""The domains, by name."""

from typing import Final

from training.embedded.arithmetic import Arithmetic
from training.embedded.domain import Domain
from training.embedded.scan import Scan

DOMAINS: Final[dict[str, Domain]] = {domain.name: domain for domain in (Arithmetic(), Scan())}
