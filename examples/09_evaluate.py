"""Evaluate on your own questions: what the router gets right at what cost, against one model doing every subtask."""

import json
import tempfile
from pathlib import Path

from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks import Item, load_items, own_data
from langchain_r2.evals.run import evaluate

QUESTIONS = {
    "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?": 408,
    "leo buys 47 boxes of 8 pens and gets 25 more . how many pens does leo have now ?": 401,
    "ida buys 94 bags of 7 nuts and loses 31 . how many nuts does ida have now ?": 627,
    "tom fills 33 boxes with 50 cards each . mia has 31 bags and each holds 32 cards . "
    "how many cards do they have together ?": 2642,
}


def same_number(prediction: str, item: Item) -> bool:
    """The grader: a function of the answer and the item. Text that is no number makes the item ungradable."""
    return int(prediction) == int(item.gold)


with tempfile.TemporaryDirectory() as folder:
    data, out = Path(folder) / "questions.jsonl", Path(folder) / "results"
    lines = [json.dumps({"query": query, "answer": str(answer)}) for query, answer in QUESTIONS.items()]
    data.write_text("\n".join(lines), encoding="utf-8")

    # With a pool of your own: router={"pool": pool}, or what `calibrated_router` makes.
    questions = load_items(own_data(str(data), same_number))
    evaluate(questions, router=embedded_router(), methods=["r2", "fixed"], out=out)

    records = [json.loads(line) for line in (out / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    right = [record for record in records if record["method"] == "r2" and record["grade"]["score"] == 1]
    print(f"r2: {len(right)} of {len(QUESTIONS)} right")
