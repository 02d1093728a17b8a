"""GSM8K (Cobbe et al. 2021): word problems of primary school; the answer is the number after ``####``."""

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row


def _item(row: Row) -> Item:
    solution = row.text("answer")
    _, mark, gold = solution.rpartition("####")
    if not mark or not gold.strip():
        raise row.error("answer", "a solution that ends in '#### number'")
    return Item(row.any_text("id") or f"gsm8k-{row.number}", row.text("question"), gold.strip())


BENCHMARK = Benchmark("gsm8k", from_rows(_item), "numeric")
