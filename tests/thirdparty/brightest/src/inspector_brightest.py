"""Somebody else's analysis: which channel of every layer is brightest on average."""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field

from inspector import Column, Sum, Summary, Table


@dataclass(frozen=True, eq=False)
class Light(Summary):
    inputs: Sum
    total: Sum


class Brightest:
    """Names the channel with the highest mean of every layer."""

    name, version, summary = "brightest", "0.3", Light

    class Params(BaseModel):
        layers: list[str] = Field(["*"], description="which layers")

    def __init__(self, params):
        self.params = params

    def select(self, model):
        return model.taps(tuple(self.params.layers))

    def observe(self, op, x, tap):
        return {"mean": op.mean(x)}

    def summarize(self, tap, rows, batch):
        return Light(np.int64(len(batch.ids)), rows["mean"].sum(0, dtype=np.float64))

    def finalize(self, model, summaries):
        return {tap.layer: (int(s.total.argmax()), float(s.total.max() / s.inputs)) for tap, s in summaries.items()}

    def present(self, result):
        rows = tuple((layer, channel, mean) for layer, (channel, mean) in result.items())
        return [Table("Brightest channels", (Column("layer"), Column("channel"), Column("mean")), rows)]
