"""The settings of a run of reinforcement, and the models of its two roles."""

from dataclasses import dataclass, replace
from pathlib import Path

from langchain_r2.embedded.bundle import HOME
from langchain_r2.pool_file import EMBEDDED
from training.embedded.supervised import SUPERVISED
from training.grpo_settings import AlternateSettings, GrpoSettings, ReviewSettings, RoleSettings
from training.settings import DataSettings, PoolSettings, SearchSettings, read_settings
from training.sft_data import Role


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that a run follows from."""

    pool: PoolSettings
    data: DataSettings
    alternate: AlternateSettings
    grpo: GrpoSettings
    review: ReviewSettings
    search: SearchSettings
    decomposer: RoleSettings
    allocator: RoleSettings

    @classmethod
    def read(cls, config: str | Path) -> "RunSettings":
        """From the tables of a file.

        Raises:
            BadValueError: A setting that there is not, or of a wrong type.
        """
        return cls(
            pool=read_settings(config, "pool", PoolSettings),
            data=read_settings(config, "data", DataSettings),
            alternate=read_settings(config, "alternate", AlternateSettings),
            grpo=read_settings(config, "grpo", GrpoSettings),
            review=read_settings(config, "review", ReviewSettings),
            search=read_settings(config, "search", SearchSettings),
            decomposer=read_settings(config, "decomposer", RoleSettings),
            allocator=read_settings(config, "allocator", RoleSettings),
        )

    def role(self, name: Role) -> RoleSettings:
        """Of one role; ``embedded`` is the shipped base, with the adapter that supervised training gave."""
        given = self.decomposer if name == "decomposer" else self.allocator
        if given.base != EMBEDDED:
            return given
        return replace(
            given,
            base=str(HOME / "router" / f"{name}_base"),
            adapter=given.adapter or str(SUPERVISED / name),
            tokenizer=str(HOME / "tokenizer"),
            engine="embedded",
            shuffle_aliases=False,
        )
