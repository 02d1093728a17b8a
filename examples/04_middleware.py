"""The router inside an agent: every model call of the loop goes to the cheapest pool model that gets it right.

Two scripted models stand in for real ones that take tools. The agent's own model is not called.
"""

import sys

from langchain_core.messages import AIMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.tools import tool

from langchain_r2 import ModelPool, ModelSpec, Price, R2Context
from langchain_r2.ledger import bill
from langchain_r2.testing import ScriptedChatModel

try:
    from langchain.agents import create_agent

    from langchain_r2.middleware import R2RouterMiddleware
except ImportError:
    sys.exit('pip install "langchain-r2[agents]"')


class Scripted(ScriptedChatModel):
    """Takes tools as real models do; the script decides whether one is called."""

    def bind_tools(self, tools: object, **kwargs: object) -> "Scripted":
        """Leave them."""
        del tools, kwargs
        return self


@tool
def stock(part: str) -> int:
    """How many of a part are in stock."""
    return {"bolt": 120}[part]


def call(**arguments: str) -> AIMessage:
    """A reply that calls the tool."""
    usage = UsageMetadata(input_tokens=60, output_tokens=12, total_tokens=72)
    tool_call = ToolCall(name="stock", args=arguments, id="1", type="tool_call")
    return AIMessage("", tool_calls=[tool_call], usage_metadata=usage)


small = Scripted(script=[call(item="bolt"), "maybe 100 bolts"], probability=0.3)  # a wrong argument, then unsure
large = Scripted(script=[call(part="bolt"), "There are 120 bolts."], probability=0.99)
pool = ModelPool(
    [
        ModelSpec(name="small", model=small, price=Price(input=0.05, output=0.1)),
        ModelSpec(name="large", model=large, price=Price(input=2.5, output=10.0)),
    ]
)
agent = create_agent(large, [stock], middleware=[R2RouterMiddleware(pool, limits=R2Context(budget_usd=0.1))])
result = agent.invoke({"messages": [{"role": "user", "content": "How many bolts are there ?"}]})

for attempt in result["r2_attempts"]:
    print(f"{attempt['model']:<6} {attempt['direction']:<8} {attempt['reason']:<15} {attempt['verdict']['reason']}")
print(result["messages"][-1].text)
print(f"{bill(result['r2_attempts']).cost_usd:.6f} USD")
