"""Watch the router decide: every decision is an event of the custom stream, and the graph can be drawn."""

from langgraph.store.memory import InMemoryStore

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import embedded_router

# The store keeps how models did on each kind of subtask; that evidence sends later subtasks downward.
graph = create_r2_graph(**embedded_router(), store=InMemoryStore())
for query in (
    "leo buys 47 boxes of 8 pens and gets 25 more . how many pens does leo have now ?",
    "ida buys 94 bags of 7 nuts and gets 31 more . how many nuts does ida have now ?",
    "max buys 53 jars of 6 beads and gets 48 more . how many beads does max have now ?",
):
    print(query)
    for event in graph.stream({"query": query}, stream_mode="custom"):
        kind = event.pop("event")
        print("  ", kind, {k: v for k, v in event.items() if k != "attempt"} or "")

print(graph.get_graph(xray=True).draw_mermaid())
