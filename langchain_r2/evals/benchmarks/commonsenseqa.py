"""CommonsenseQA (Talmor et al. 2019), in its own layout and in that of Hugging Face: questions with five choices."""

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row


def _item(row: Row) -> Item:
    if isinstance(row.values.get("question"), dict):  # the own layout
        question = row.table("question")
        stem = question.text("stem")
        choices = {choice.text("label"): choice.text("text") for choice in question.tables("choices")}
    else:
        stem, listed = row.text("question"), row.table("choices")
        labels, texts = listed.texts("label"), listed.texts("text")
        if len(labels) != len(texts):
            raise listed.error("text", f"as many texts as there are labels, {len(labels)}")
        choices = dict(zip(labels, texts, strict=True))
    gold = row.any_text("answerKey")
    if gold not in choices:  # the test split on Hugging Face has none: its answers are kept secret
        hint = "The answers of the test split are secret: take the validation split."
        raise row.error("answerKey", f"the label of a choice: {', '.join(choices)}", hint)
    shown = "\n".join(f"({label}) {text}" for label, text in choices.items())
    query = f"{stem}\n{shown}\nGive the letter of the best choice."
    return Item(row.text("id"), query, gold, meta={"choices": choices})


BENCHMARK = Benchmark("commonsenseqa", from_rows(_item), "choice")
