"""Ask one question on the embedded pool: answer, who did what, and the bill. No key, no network."""

from langchain_r2 import R2Context, create_r2_graph
from langchain_r2.embedded import embedded_router
from langchain_r2.ledger import bill

graph = create_r2_graph(**embedded_router())
query = (
    "tom fills 33 boxes with 50 cards each . mia has 31 bags and each holds 32 cards . "
    "how many cards do they have together ?"
)
result = graph.invoke({"query": query}, context=R2Context(budget_usd=0.01))

print(query)
for attempt in result["attempts"]:
    where = attempt["subtask_id"] or "-"
    print(f"  {attempt['role']:<10} {where:<4} {attempt['model']:<20} {attempt['direction']:<9} {attempt['answer']!r}")
total = bill(result["attempts"])
print(f"answer: {result['answer']} ({result['status']})")
print(f"bill: {total.cost_usd:.8f} USD in {total.calls} calls, the router's share {total.router_share:.0%}")
