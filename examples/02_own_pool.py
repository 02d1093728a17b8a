"""Route over models of your own. Two scripted models stand in for real ones, so that this runs without a key.

With real models, put any LangChain chat model in place of ``ScriptedChatModel``, for example ``ChatOpenAI(...)``; or
give ``"openai:gpt-4o-mini"``, or the name and ``base_url`` of a model on an OpenAI-compatible server.
"""

from langchain_core.messages import HumanMessage

from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
from langchain_r2.confidence import Confidence
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.testing import ScriptedChatModel


def strong(prompt: str) -> str:
    """Plans when it is asked for a plan, else answers."""
    return "1: first part\n2: second part, with #1" if prompt.startswith("Task:") else "answer: from the strong model"


pool = ModelPool(
    [
        ModelSpec(
            name="small",
            model=ScriptedChatModel(script=["answer: a guess"], probability=0.4),  # unsure: goes upward
            price=Price(input=0.05, output=0.10, source="example", date="2026-11-22"),
        ),
        ModelSpec(
            name="strong",
            model=ScriptedChatModel(script=strong, probability=0.99),
            price=Price(input=2.50, output=10.00, source="example", date="2026-11-22"),
        ),
    ],
    name="two models",
)
graph = create_r2_graph(
    pool, allocator=CalibratedAllocator(pool, easy=0.3, medium=0.2), confidence=Confidence(threshold=0.8)
)
result = graph.invoke({"messages": [HumanMessage("Do something in two parts.")]})
for attempt in result["attempts"]:
    print(attempt["role"], attempt["subtask_id"], attempt["model"], attempt["direction"], attempt["reason"])
print(result["messages"][-1].text)
