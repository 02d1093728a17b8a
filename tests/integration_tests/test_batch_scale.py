"""The command ``batch`` killed and resumed, against a server that counts calls; 10,000 queries: ``make bench``."""

import signal
from pathlib import Path

import pytest

from tests.benchmarks import batch_scale

QUERIES = 300


@pytest.mark.slow
def test_killed_five_times_every_query_is_answered_once_and_none_is_paid_twice(tmp_path: Path) -> None:
    done = batch_scale.batch(tmp_path, QUERIES, kills=5, seed=1)
    assert done.exit_codes == [-signal.SIGKILL] * 5 + [0]
    assert done.answered == {f"q{n}": 1 for n in range(QUERIES)}
    assert len(done.paid_at_kill) > QUERIES // 3
    assert {done.paid[id_] - then for id_, then in done.paid_at_kill.items()} == {0}
    assert all(count >= batch_scale.CALLS for count in done.paid.values())
    assert batch_scale.run_again(done) <= 5 * batch_scale.CONCURRENCY


@pytest.mark.slow
def test_memory_does_not_grow_with_the_queries(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    small = batch_scale.batch(few, 50, kills=0)
    large = batch_scale.batch(many, 500, kills=0)
    assert large.peak_mb - small.peak_mb < 10
