"""Training texts of SCAN: plans that do what the command says, a tokenizer that knows all words, a tiny training."""

import json
import random
from itertools import islice
from pathlib import Path

import pytest

from langchain_r2.embedded.bundle import DOMAINS as HOMES
from langchain_r2.evals.benchmarks.scan import Command, commands, translate
from langchain_r2.evals.benchmarks.scan_commands import commands_of
from langchain_r2.parsing import QUERY_REFERENCE, parse_plan
from training.embedded.domains import DOMAINS
from training.embedded.models import ask, load_engine, train_pool_model
from training.embedded.scan import PLANS, Scan, plan_is_right
from training.embedded.scan_plans import _first_of_the_best
from training.embedded.sizes import Size
from training.scan_data import Fineness, Plans, cot_example, pieces, plan_example, pool_examples, solve_example

SCAN = Scan()
ALL = list(commands())
FINENESSES: tuple[Fineness, ...] = ("conjuncts", "repeats", "turns")


def home_with(folder: Path, fineness: str, share: float) -> Path:
    (folder / "router").mkdir()
    (folder / "router" / PLANS).write_text(json.dumps({"fineness": fineness, "share": share}))
    return folder


@pytest.mark.parametrize("fineness", FINENESSES)
def test_pieces_do_what_the_command_says(fineness: Fineness) -> None:
    for command in ALL:
        assert sum(map(translate, pieces(command.text, fineness)), ()) == command.actions


def test_finer_pieces_are_shorter() -> None:
    longest = [max(len(translate(piece)) for c in ALL for piece in pieces(c.text, f)) for f in FINENESSES]
    assert longest == [24, 8, 2]


def test_only_commands_above_the_gate_are_taken_apart() -> None:
    plans = Plans("repeats", 16)
    for command in random.Random(0).sample(ALL, 500):
        own = plans.of(command)
        assert (own == (QUERY_REFERENCE,)) == (len(command.actions) <= 16)
        parsed = parse_plan(plan_example(command, plans).reply, max_subtasks=32)
        assert parsed.outcome == "clean"
        assert tuple(s["text"] for s in parsed.subtasks) == own


def test_a_plan_is_right_only_if_its_pieces_are_the_command_and_short() -> None:
    command = Command("walk twice and jump", translate("walk twice and jump"))
    assert plan_is_right("1 : walk\n2 : walk\n3 : jump", command, 22)
    assert plan_is_right("1 : #query", command, 3)
    assert not plan_is_right("1 : #query", command, 2)
    assert not plan_is_right("1 : jump\n2 : walk twice", command, 22)
    assert not plan_is_right("1 : walk twice\n2 : hop", command, 22)
    assert not plan_is_right("", command, 22)


def test_the_coarsest_plans_that_are_as_good_are_taken() -> None:
    assert _first_of_the_best({"conjuncts": 0.5, "repeats": 0.95, "turns": 0.96}) == "repeats"
    assert _first_of_the_best({"conjuncts": 0.5, "repeats": 0.9, "turns": 0.96}) == "turns"


def test_the_tokenizer_knows_every_word_and_gives_texts_back() -> None:
    tokenizer = SCAN.tokenizer()
    for command in random.Random(1).sample(ALL, 300):
        for example in (solve_example(command), cot_example(command), plan_example(command, Plans("turns", 0))):
            for text in example:
                encoded = tokenizer.encode(text)
                assert "<unk>" not in encoded.tokens
                assert tokenizer.decode(encoded.ids) == text


def test_nothing_is_trained_on_that_is_held_out(tmp_path: Path) -> None:
    home = home_with(tmp_path, "repeats", 0.75)
    held = {c.text for split in ("validation", "iid", "length") for c in commands_of(split)}
    streams = SCAN.pool_texts(SCAN.pool[0]), SCAN.base_texts(home), SCAN.plan_texts(home)
    texts = [example.prompt for stream in streams for example in islice(stream, 3000)]
    assert not held & {text.split(" : ", 1)[1] for text in texts}
    assert not held & {task.query for task in SCAN.tasks("train", 2000, "labels", home)}


def test_a_tiny_model_learns_single_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phrases = [Command(text, translate(text)) for text in ("walk", "run", "jump left")]
    monkeypatch.setattr(Scan, "pool_texts", lambda self, size: pool_examples(phrases, random.Random(0)))
    monkeypatch.setattr(Scan, "batch_tokens", 256)
    tokenizer, size = SCAN.tokenizer(), Size("tiny", 1, 32, 2, False, 60_000, 0.0, 0.0, "")
    train_pool_model(size, tokenizer, tmp_path / "tiny", domain=SCAN)
    answers = ask(load_engine(tmp_path / "tiny", tokenizer), tokenizer, [solve_example(c).prompt for c in phrases], 8)
    assert [SCAN.grade(a.text, " ".join(c.actions)) for a, c in zip(answers, phrases, strict=True)] == [True] * 3


def test_domains_are_those_that_are_shipped() -> None:
    assert {name: domain.home for name, domain in DOMAINS.items()} == dict(HOMES)
    for domain in DOMAINS.values():
        parts = [part for lane in (*domain.lanes, domain.last) for part in lane]
        assert {size.name for size in domain.pool} | {"decomposer", "allocator", "calibrate"} <= set(parts)
