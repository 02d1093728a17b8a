"""A pool model as the grader, for answers that no rule can compare; it is shown the gold answer."""

import re
from typing import Final

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.base import Grade, right, ungradable, wrong
from langchain_r2.evals.items import Item
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import parse_answer
from langchain_r2.prompts import instruct
from langchain_r2.transport import Call, Transport

_WORD: Final = re.compile(r"\W*(same|different)\W*", re.IGNORECASE)
_LONGEST: Final = 4_000


class Judge:
    """Asks a model whether an answer says the same as the gold answer.

    Its word is not that of the benchmark's authors, nor the same every time: say so beside the numbers.
    """

    def __init__(self, spec: ModelSpec, transport: Transport | None = None) -> None:
        """Take the model.

        Raises:
            BadValueError: It was fine-tuned on steps and follows no instructions, as the embedded models.
        """
        if spec.prompt_style == "bare":
            hint = "Name another with --judge."
            raise BadValueError("judge", spec.name, "a model that follows instructions", hint)
        self.spec, self.transport = spec, transport or Transport()

    async def __call__(self, prediction: str, item: Item) -> Grade:
        """Grade one prediction."""
        if not item.gold.strip():
            return ungradable("the gold answer is empty")
        if not prediction.strip():
            return wrong("no answer")
        golds = " or: ".join((item.gold, *item.aliases))
        prompt = instruct.judge(item.query, golds, prediction[:_LONGEST])
        call = Call(spec=self.spec, prompt=prompt, role="evaluator", budget=Budget(None), temperature=0.0)
        outcome = await arun(self.transport.call(call))
        attempts = tuple(outcome.attempts)
        if outcome.reply is None:
            return ungradable(f"the judge did not answer: {outcome.error}")._replace(attempts=attempts)
        said = _WORD.fullmatch(parse_answer(outcome.reply.text)[0])
        if said is None:
            return ungradable("the judge said neither same nor different")._replace(attempts=attempts)
        return (right() if said[1].lower() == "same" else wrong())._replace(attempts=attempts)
