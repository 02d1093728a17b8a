"""Swap an app's chat model for the router: the same chain, agent or graph, another model. No key, no network."""

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_r2 import ChatR2
from langchain_r2.embedded import embedded_router

# With models of your own: ChatR2(pool="pool.toml"), or ChatR2(pool=ModelPool([...])).
model = ChatR2(**embedded_router(), budget_usd=0.01)

chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | model | StrOutputParser()
question = (
    "tom fills 33 boxes with 50 cards each . mia has 31 bags and each holds 32 cards . "
    "how many cards do they have together ?"
)
print("chain:", chain.invoke({"question": question}))

conversation = [
    SystemMessage("Answer with a number."),
    HumanMessage("tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"),
    AIMessage("408"),
    HumanMessage(question),
]
print("stream:", end=" ")
for chunk in model.stream(conversation):
    print(chunk.text, end="", flush=True)
print()

reply = model.invoke(conversation)
told = reply.response_metadata["r2"]
for row in told["route"]:
    where = row["subtask_id"] or "-"
    print(f"  {row['role']:<10} {where:<3} {row['model']:<20} {row['direction']:<8} {row['reason']}")
for name, row in told["usage"].items():
    print(f"  {name:<20} {row['calls']} calls, {row['input_tokens'] + row['output_tokens']} tokens")
print(f"answer: {reply.text} ({told['status']}), {told['cost_usd']:.8f} USD")
