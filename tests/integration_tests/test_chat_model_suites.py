"""Of LangChain's suites for chat models only what downloads files or needs recordings is skipped."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = ["unit_tests/test_chat_model_standard.py", "integration_tests/test_chat_model_standard.py"]

SKIPPED = {
    "Model does not support PDF inputs.",  # these six download a file first
    "Model does not support audio inputs.",
    "Model does not support image message.",
    "Model does not support image tool message.",
    "Model does not support PDF tool message.",
    "Model does not explicitly support Anthropic inputs.",
    "VCR not set up.",
}


@pytest.mark.slow
def test_only_what_needs_the_network_is_skipped() -> None:
    files = [str(ROOT / "tests" / suite) for suite in SUITES]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    reasons = re.findall(r"^SKIPPED \[(\d+)\] \S+ (.+)$", done.stdout, re.MULTILINE)
    assert {reason for _, reason in reasons} == SKIPPED
    assert sum(int(count) for count, _ in reasons) == len(SKIPPED)
    passed = re.search(r"(\d+) passed, (\d+) skipped in", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 53
    assert "xfailed" not in done.stdout
