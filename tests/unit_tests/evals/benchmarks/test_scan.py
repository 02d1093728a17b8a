"""SCAN: generated from its grammar, equal to the published set; splits, action names, decompositions."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import load_items, scan
from langchain_r2.evals.items import Item

SIZES = {
    "length": (16_990, 3_920),
    "addprim_jump": (13_204, 7_706),
    "addprim_turn_left": (19_702, 1_208),
    "template_jump_around_right": (18_528, 1_173),
    "template_around_right": (15_225, 4_476),
    "template_opposite_right": (15_225, 4_476),
    "template_right": (15_225, 4_476),
    "all": (0, 20_910),
}


def broken(item: Item) -> list[str]:
    actions = item.gold.split()
    return [
        " ".join([*actions, "I_RUN"]),
        " ".join(actions[:-1]),
        f"{item.gold} done",
        item.gold.replace(actions[-1], "I_SIT"),
    ]


@pytest.mark.parametrize(("split", "sizes"), SIZES.items())
def test_splits_have_the_published_sizes_and_do_not_overlap(split: str, sizes: tuple[int, int]) -> None:
    train, test = scan.split_commands(split, "train"), scan.split_commands(split, "test")
    assert (len(train), len(test)) == sizes
    assert len({c.text for c in [*train, *test]}) == sum(sizes)


def test_lengths_of_the_length_split() -> None:
    assert {len(c.actions) for c in scan.split_commands("length", "train")} <= set(range(1, 23))
    assert min(len(c.actions) for c in scan.split_commands("length", "test")) == 24


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("jump", "JUMP"),
        ("turn left", "LTURN"),
        ("turn opposite right", "RTURN RTURN"),
        ("turn around left", "LTURN LTURN LTURN LTURN"),  # no verb in it
        ("walk around right", "RTURN WALK RTURN WALK RTURN WALK RTURN WALK"),
        ("run opposite left twice", "LTURN LTURN RUN LTURN LTURN RUN"),
        ("look after walk twice", "WALK WALK LOOK"),  # "after" turns the order round
        ("look thrice and walk right", "LOOK LOOK LOOK RTURN WALK"),
    ],
)
def test_translations_of_the_paper(command: str, actions: str) -> None:
    assert scan.translate(command) == scan.actions_in(actions)


@pytest.mark.parametrize(
    "command", ["", "jump jump", "walk and", "walk and run and look", "jump after run and walk", "fly"]
)
def test_what_the_grammar_does_not_have(command: str) -> None:
    with pytest.raises(BadValueError, match="grammar"):
        scan.translate(command)


def test_the_names_of_actions_differ_between_publications() -> None:
    item = Item("a", "q", "I_TURN_LEFT I_JUMP I_TURN_RIGHT I_WALK")
    for said in (
        "I_TURN_LEFT I_JUMP I_TURN_RIGHT I_WALK",
        "LTURN JUMP RTURN WALK",
        "TURN LEFT, JUMP, TURN RIGHT, WALK.",
        '"I_TURN_LEFT" "I_JUMP" "I_TURN_RIGHT" "I_WALK"',
        "i_turn_left\ni_jump\ni_turn_right\ni_walk",
    ):
        assert scan.grade(said, item).score == 1, said
    for said in ("TURN JUMP RTURN WALK", "LEFT JUMP RIGHT WALK", "LTURN JUMP RTURN", "LTURN RTURN JUMP WALK"):
        assert scan.grade(said, item).score == 0, said
    assert scan.grade("WALK", Item("a", "q", "nothing")).status == "ungradable"


def test_decompositions_compute_to_the_answer() -> None:
    for command in list(scan.commands())[::37]:
        known: dict[str, tuple[str, ...]] = {}
        done: tuple[str, ...] = ()
        for number, step in enumerate(scan.decompose(command.text), 1):
            assert set(re.findall(r"#(\d+)", step.text)) == set(step.depends_on)
            words = step.text.split()
            if not step.depends_on:
                done = scan.translate(step.text)
            elif len(words) == 2:
                done = known[words[0]] * {"twice": 2, "thrice": 3}[words[1]]
            else:
                first, joined, second = words
                done = known[first] + known[second] if joined == "and" else known[second] + known[first]
            assert " ".join(done) == step.answer
            known[f"#{number}"] = done
        assert done == command.actions
    assert len(scan.decompose("walk")) == 1
    assert [s.text for s in scan.decompose("walk left twice after jump")] == [
        "walk left",
        "#1 twice",
        "jump",
        "#2 after #3",
    ]


def test_self_check_without_any_file(self_check: Callable[..., Any]) -> None:
    for split in scan.SPLITS:
        chosen = load_items("scan", split=split, limit=25)
        assert self_check(scan.grade, chosen.items, broken) == {"graded": 25}
    assert load_items("scan").facts["split"] == "length"


def test_the_rules_in_the_prompt_hold(load: Callable[..., list[Item]]) -> None:
    [item] = load("scan", {"commands": "turn around right", "actions": "LTURN"[:0] + "I_TURN_RIGHT " * 4})
    assert item.query.endswith("Command: turn around right")
    assert item.gold not in item.query
    assert scan.translate("walk left") == ("I_TURN_LEFT", "I_WALK")
    assert "walk left: turn left, then walk: I_TURN_LEFT I_WALK." in item.query


def test_a_file_of_the_repository(tmp_path: Path) -> None:
    path = tmp_path / "tasks.txt"
    path.write_text("IN: jump OUT: I_JUMP\nIN: turn left twice OUT: I_TURN_LEFT I_TURN_LEFT\n")
    items = load_items("scan", data=str(path)).items
    assert [(item.meta["command"], item.gold) for item in items] == [
        ("jump", "I_JUMP"), ("turn left twice", "I_TURN_LEFT I_TURN_LEFT"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("IN: jump", "line 2 of tasks.txt"),
        ("IN: fly OUT: I_FLY", "field 'IN' in line 2 of tasks.txt"),
        ("IN: jump OUT: I_RUN", "field 'OUT' in line 2 of tasks.txt.*I_JUMP"),
    ],
)
def test_wrong_lines_are_refused(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.txt"
    path.write_text(f"IN: jump OUT: I_JUMP\n{line}\n")
    with pytest.raises(BadValueError, match=said):
        load_items("scan", data=str(path))


def test_the_random_split_needs_its_file() -> None:
    with pytest.raises(BadValueError, match="length"):
        load_items("scan", split="simple")
    with pytest.raises(BadValueError, match="--data"):
        scan.split_commands("simple", "test")


@pytest.mark.parametrize("file", ["scan.jsonl", "scan_tasks_first200.jsonl"])
def test_the_samples(file: str, sample: Callable[..., list[Item]], self_check: Callable[..., Any]) -> None:
    items = sample("scan", file)  # the loader compares every pair with the grammar
    assert self_check(scan.grade, items, broken) == {"graded": len(items)}
