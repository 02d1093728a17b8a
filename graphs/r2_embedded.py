"""The router graph on the embedded pool, for ``langgraph dev``: no key, no network.

No checkpointer: the server brings its own.
"""

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import embedded_router

graph = create_r2_graph(**embedded_router(), name="r2_embedded")
