"""Shows runs: a page for one, a page for many, the drawn graph with a run laid over it."""

from langchain_r2.trace.batch_page import write_pages
from langchain_r2.trace.drawing import draw_graph
from langchain_r2.trace.prompts import PromptKeeper
from langchain_r2.trace.run_page import RunPage, to_html

__all__ = ["PromptKeeper", "RunPage", "draw_graph", "to_html", "write_pages"]
