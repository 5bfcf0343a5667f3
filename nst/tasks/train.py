"""Training a generator: one style, any content."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from nst.generator import Generator, encode
from nst.objective import Objective, Targets, content_targets
from nst.photos import Draws, Positions
from nst.tasks.task import SLOWER, Lazily, Row, Task
from nst.text import say

SHOWN = 4
"""Held-out images side by side in the picture."""


class Train(Task):
    """Owns a generator and minimises an objective over what it paints (Johnson et al. 2016).

    objective: with the style as its target; each batch brings its own content. held_out: (N, 3, H, W) in [0, 1], of
    which losses and pictures are told. batch: crops a step, of all processes together. facts: what the file of the
    generator says besides its shape.
    """

    held_out: Tensor
    _good: dict[str, Any] | None = None
    """What was trained, and the optimiser's state, when the losses were last told."""
    _slowed = False
    """Whether it has gone wrong before."""
    unreadable: Tensor
    """Which of the images could not be read to the end; one more place for none."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        content_layers: list[str],
        draws: Draws,
        held_out: Tensor,
        make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        stops: list[int],
        batch: int = 4,
        workers: int = 2,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(stops)
        self.generator = generator
        self.objective = objective
        self.content_layers = content_layers
        self.draws = draws
        self.batch, self.workers = batch, workers
        self._make_optimizer = make_optimizer
        self._facts = dict(facts or {})
        self._due = {0, *stops}
        self._clock: float | None = None
        self.register_buffer("held_out", held_out, persistent=False)
        self.register_buffer("unreadable", torch.zeros(len(draws.paths) + 1, dtype=torch.bool))
        self._held_out_content: list[Targets] = []

    def configure_optimizers(self) -> Optimizer:
        return self._make_optimizer(self.generator.parameters())

    def train_dataloader(self) -> Iterable[tuple[Tensor, Tensor]]:
        return Lazily(self._batches)

    def _batches(self) -> Iterator[Any]:
        """Those that are left, of this process."""
        share = self.trainer.global_rank, self.trainer.world_size
        positions = Positions(self.step * self.batch, self.stops[-1] * self.batch, *share)
        loader: DataLoader[Any] = DataLoader(
            self.draws,
            batch_size=self.batch // self.trainer.world_size,
            sampler=positions,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        return iter(loader)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Row | None:
        # before the clock starts: what is told at step 0 is not training
        row = self._row() if self.step in self._due else None
        if self._clock is None:
            self._clock = time.perf_counter() - self.seconds
        crops, unreadable = batch
        images = crops.float() / 255
        optimizer: Any = self.optimizers()
        terms = self.objective(self.generator(images), self._content(images))
        optimizer.zero_grad()
        self.manual_backward(terms["total"])
        optimizer.step()
        self.unreadable.index_fill_(0, unreadable, True)
        self.step += 1
        self.seconds = time.perf_counter() - self._clock
        return row

    def _row(self) -> Row:
        figures: dict[str, float] = self.figures()
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        state = {"generator": self.generator.state_dict(), "optimizer": optimizer.state_dict()}
        if all(map(math.isfinite, figures.values())):
            self._good = copy.deepcopy(state)
        elif self._good and not self._slowed:
            say(f"step {self.step}: the loss is not finite; from where it was, with steps {SLOWER:g} times as long")
            self._slowed = True
            self.generator.load_state_dict(self._good["generator"])
            optimizer.load_state_dict(self._good["optimizer"])
            for group in optimizer.param_groups:
                group["lr"] *= SLOWER
            figures = self.figures()
        return {"step": self.step, "seconds": self.seconds} | self.finite(figures)

    def _content(self, images: Tensor) -> Targets:
        return content_targets(self.objective.backbone, images, self.content_layers)

    def on_train_end(self) -> None:
        self.unreadable = self.trainer.strategy.reduce(self.unreadable.float(), reduce_op="sum") > 0

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Raw losses of the held-out images as they are painted, means over them; and the weighted terms."""
        images = torch.split(self.held_out, self.batch)
        sums: dict[str, float] = {}
        with torch.autocast(self.device.type, enabled=False):  # the same at every step, whatever is trained in
            if not self._held_out_content:
                self._held_out_content = [self._content(each) for each in images]
            for each, content in zip(images, self._held_out_content, strict=True):
                for name, value in self.objective.named(self.objective(self.generator(each), content)).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(each) / len(self.held_out)
        return sums

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Held-out images as they are painted, side by side, (1, 3, H, N·W) in [0, 1]."""
        return torch.cat([self.generator(each[None]) for each in self.held_out[:SHOWN]], dim=3)

    def files(self) -> dict[str, bytes]:
        """generator.safetensors, for mode=stylize and mode=export."""
        return {"generator.safetensors": encode(self.generator, self._facts | {"steps": self.step})}

    def timings(self) -> dict[str, float]:
        return {"images_per_second": self.step * self.batch / self.seconds if self.seconds else 0.0}

    def data_facts(self) -> dict[str, int]:
        """What the record says of the data when the run has ended."""
        return {"unreadable": int(self.unreadable[:-1].sum())}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        kept = ("generator.", "unreadable")
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name.startswith(kept)}
        checkpoint["progress"]["slowed"] = self._slowed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._slowed = checkpoint["progress"].get("slowed", False)
