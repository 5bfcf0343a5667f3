"""Writing a trained generator as files that other programs run: one step, all of it."""

import time
from collections.abc import Iterable
from typing import Any

from nst import onnx
from nst.generator import Generator, encode
from nst.tasks.task import Row, Task


class Export(Task):
    """Makes generator.onnx, checked against onnxruntime, and generator.safetensors. facts: its description."""

    def __init__(self, generator: Generator, facts: dict[str, Any]) -> None:
        super().__init__([1])
        self.generator = generator
        self._facts = facts
        self._files: dict[str, bytes] = {}
        self.difference = 0.0

    def train_dataloader(self) -> Iterable[int]:
        return [0]

    def training_step(self, batch: int, index: int) -> Row:
        began = time.perf_counter()
        model, self.difference = onnx.export(self.generator, self._facts)
        self._files = {"generator.onnx": model, "generator.safetensors": encode(self.generator, self._facts)}
        self.step, self.seconds = 1, time.perf_counter() - began
        return {"step": 0, "seconds": 0.0}

    def files(self) -> dict[str, bytes]:
        return self._files

    def data_facts(self) -> dict[str, Any]:
        return {"largest_difference": self.difference}
