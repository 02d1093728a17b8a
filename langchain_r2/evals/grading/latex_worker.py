"""A process of its own that compares mathematical answers; :mod:`langchain_r2.evals.grading.latex` starts it.

Run as a script. It reads lines ``{"gold": ..., "prediction": ...}`` and answers each with one line. math-verify sets
an alarm signal for its own time limits, which works in no thread but the first of a process, and no signal stops
sympy inside one large power: so there is no limit here, and who waits for the answer ends the process.
"""

import contextlib
import json
import logging
import sys

MEMORY_BYTES = 4 << 30
"""A power tower of a model's fits into no memory: the process ends, not the machine."""


def main() -> None:
    """Answer lines until there are no more."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)  # it warns that its time limits are off
    replies, sys.stdout = sys.stdout, sys.stderr  # sympy may print
    for line in sys.stdin:
        pair = json.loads(line)
        try:
            gold, said = (parse(f"\\boxed{{{pair[key]}}}", parsing_timeout=0) for key in ("gold", "prediction"))
            reply = {"read": bool(gold), "equal": bool(said) and verify(gold, said, timeout_seconds=0)}
        except Exception as error:  # noqa: BLE001 - whatever sympy raises over a model's text
            reply = {"error": type(error).__name__}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
