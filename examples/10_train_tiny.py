"""Train a decomposer of your own, within a minute on a CPU: draw plans, search labels, fit a LoRA adapter, use it.

Six problems show the way from problems to a router, not a good router: training/README.md has what good ones take.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from langchain_r2 import FREE, ModelSpec, create_r2_graph
from langchain_r2.embedded import embedded_router
from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.chat import EmbeddedChatModel
from langchain_r2.routers.prompted import PromptedDecomposer

ROOT = Path(__file__).parents[1]


def train(*arguments: str) -> None:
    """One command of ``python -m training``, in this checkout; it shows what it says if it fails."""
    command = [sys.executable, "-m", "training", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(done.stderr)
    print(f"training {arguments[0]}: done", flush=True)


def main() -> None:
    """Train, then ask."""
    if importlib.util.find_spec("trl") is None:
        print('Skipped: training needs more packages: pip install -e ".[train]"')
        return
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "decomposer"
        train("sample", "--limit", "6", "--out", folder)  # plans of each problem, really run on the embedded pool
        train("label", "--limit", "6", "--out", folder)  # the cheapest allocation that is right
        train("sft", "decomposer", "--labels", folder, "--out", str(adapter))

        mine = EmbeddedChatModel(
            folder=HOME / "router" / "decomposer_base",
            adapter=adapter,
            tokenizer_file=adapter / "tokenizer.json",
            model_name="mine",
        )
        spec = ModelSpec(name="mine", model=mine, price=FREE, prompt_style="bare", capabilities=frozenset({"logprobs"}))
        router = embedded_router()
        router["decomposer"] = PromptedDecomposer(spec, transport=router["transport"])
        query = "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"
        result = create_r2_graph(**router).invoke({"query": query})
    for subtask in result["plan"]["subtasks"]:
        print(f"{subtask['id']}: {subtask['text']}")
    print(f"answer: {result['answer']}, planned by {result['attempts'][0]['model']}")


if __name__ == "__main__":
    main()
