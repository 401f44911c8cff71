"""Where the shards of a stage run. A fact of the machine, not of the run: it changes nothing that is found."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from keepset.settings import settings
from keepset.stages import EngineKind

__all__ = ["Engine"]


class Engine(BaseModel):
    """The choice, as the form in Prefect's UI asks for it. Left out, it is what the machine's settings say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EngineKind = Field(
        EngineKind.LOCAL,
        title="Where shards run",
        description="local: one after the other, in the run's own process. dask: several at once, on Dask workers.",
    )
    address: str = Field(
        "",
        title="Dask scheduler",
        description="For example tcp://scheduler:8786. Empty: workers are started on this machine while they are needed.",
    )
    workers: int = Field(0, ge=0, description="How many to start if there is no address; 0: one per core.")

    @model_validator(mode="after")
    def _address_means_dask(self) -> Engine:
        if self.address and self.kind != EngineKind.DASK:
            raise ValueError("an address is of a Dask scheduler: choose the engine dask with it")
        return self

    def environment(self) -> dict[str, str]:
        """What makes a process that is started with it take this engine by default."""
        return {
            "KEEPSET_ENGINE": str(self.kind),
            "KEEPSET_DASK_ADDRESS": self.address,
            "KEEPSET_DASK_WORKERS": str(self.workers),
        }

    @classmethod
    def of_this_machine(cls) -> Engine:
        """What ``KEEPSET_ENGINE``, ``KEEPSET_DASK_ADDRESS`` and ``KEEPSET_DASK_WORKERS`` say."""
        mine = settings()
        dask = {"address": mine.dask_address, "workers": mine.dask_workers} if mine.engine == "dask" else {}
        return cls.model_validate({"kind": mine.engine, **dask})
