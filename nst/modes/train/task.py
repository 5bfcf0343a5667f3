"""Training a generator: one style, any content (Johnson et al. 2016)."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from nst import devices
from nst.engine.task import SMALLER_STEPS, Task, all_finite
from nst.errors import InputError
from nst.generators.data import CropDataset, Positions
from nst.generators.files import encode
from nst.generators.networks import Generator
from nst.images.colors import with_colors_of
from nst.losses.content import ContentLoss
from nst.losses.objective import Objective
from nst.losses.targets import Targets, content_targets
from nst.optim import MakeOptimizer
from nst.text import say

SHOWN = 4
"""Held-out images side by side in the picture."""


@dataclass(frozen=True)
class TrainingData:
    """The images that a generator is trained on.

    held_out: (N, 3, H, W) in [0, 1]; losses and pictures are of those. batch: crops a step, over all processes.
    workers: processes that read images ahead. facts: what the generator's file says besides its shape.
    """

    crops: CropDataset
    held_out: Tensor
    batch: int = 4
    workers: int = 2
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Aim:
    """What a generator is trained for. objective: with the style as its target; each batch is its own content."""

    objective: Objective
    content_layers: tuple[str, ...]
    content_loss: ContentLoss
    content_colors: bool = False
    """Show pictures in the colors of their contents; the losses are those of the painted ones."""


class Train(Task):
    """Owns a generator and minimizes an objective over its output."""

    held_out: Tensor
    unreadable: Tensor
    """Which training images could not be read completely; the last place is for none."""
    _good: dict[str, Any] | None = None
    """Step, and state of the generator and the optimizer, when finite losses were last reported."""
    _slowed = False
    """Whether the run has gone wrong before."""

    def __init__(
        self,
        generator: Generator,
        aim: Aim,
        data: TrainingData,
        make_optimizer: MakeOptimizer,
        report_steps: list[int],
    ) -> None:
        super().__init__(report_steps)
        self.generator = generator
        self.objective, self._aim = aim.objective, aim
        self.data = data
        self._make_optimizer = make_optimizer
        self._due = {0, *report_steps}
        self.register_buffer("held_out", data.held_out, persistent=False)
        self.register_buffer("unreadable", torch.zeros(len(data.crops.paths) + 1, dtype=torch.bool))
        self._held_out_content: list[Targets] = []
        self._first_metrics: dict[str, float] | None = None

    def configure_optimizers(self) -> Optimizer:
        optimizer = self._make_optimizer(self.generator.parameters())
        for group in optimizer.param_groups:
            group["lr"] *= SMALLER_STEPS if self._slowed else 1.0
        return optimizer

    def load_optimizer(self, state: dict[str, Any]) -> None:
        if self._good:  # only tried: what cannot be loaded is refused now, not when it is needed
            super().load_optimizer(self._good["optimizer"])
        super().load_optimizer(state)

    def forward_on(self, fabric: Fabric) -> None:
        self._rank, self._processes = fabric.global_rank, fabric.world_size
        self._reduce: Callable[..., Any] = fabric.all_reduce
        self._backward = fabric.backward
        # not an attribute with the wrapped module itself: it would become a submodule of its own submodule
        self._loss_of = fabric.setup_module(self).training_step

    def start(self) -> None:
        self._batches = self._load_batches(self.step, self.report_steps[-1])
        if self.step in self._due:
            self._first_metrics = self._checked_metrics()  # before the clock starts: it is not training

    def _load_batches(self, first: int, last: int) -> Iterator[Any]:
        """The batches of steps `first` to `last`, this process's share of each."""
        batch = self.data.batch
        positions = Positions(first * batch, last * batch, self._rank, self._processes)
        loader: DataLoader[Any] = DataLoader(
            self.data.crops,
            batch_size=batch // self._processes,
            sampler=positions,
            num_workers=self.data.workers,
            pin_memory=devices.is_nvidia(self.device),
        )
        return iter(loader)

    def next_stop(self) -> int:
        return self.step + 1

    def advance(self, steps: int) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.step in self._due:
            metrics, self._first_metrics = self._first_metrics or self._checked_metrics(), None
        for step in range(self.step, self.step + steps):
            self._take_step(step, self._next_batch())
        return metrics

    def _next_batch(self) -> Iterable[Tensor]:
        try:
            return next(self._batches)
        except InputError as error:  # from another process it comes with that one's traceback
            last = str(error).splitlines()[-1]
            raise InputError(last.removeprefix(f"{InputError.__module__}.InputError: ")) from None

    def _take_step(self, step: int, batch: Iterable[Tensor]) -> None:
        crops, unreadable = (each.to(self.device, non_blocking=True) for each in batch)
        self.objective.renew(None, step)
        loss = self._loss_of(crops)
        self.optimizer.zero_grad()
        self._backward(loss)
        self.optimizer.step()
        self.unreadable.index_fill_(0, unreadable, True)

    def training_step(self, crops: Tensor) -> Tensor:
        """The loss of a batch of crops (B, 3, H, W), uint8; with several processes, of this one's share."""
        images = crops.float() / 255
        return self.objective(self.generator(images), {"content": self._content(images)})["total"]

    def _checked_metrics(self) -> dict[str, float]:
        """The metrics. If they are not finite, first take the steps since they last were once more, smaller ones."""
        metrics = self.metrics()
        if not all_finite(metrics) and self._good and not self._slowed:
            good = self._good
            say(
                f"step {self.step}: the loss is not finite; once more from step {good['step']}, with the step size "
                f"times {SMALLER_STEPS:g}"
            )
            self._slowed = True
            self.generator.load_state_dict(good["generator"])
            self.optimizer.load_state_dict(good["optimizer"])
            for group in self.optimizer.param_groups:
                group["lr"] *= SMALLER_STEPS
            for step, batch in enumerate(self._load_batches(good["step"], self.step), good["step"]):
                self._take_step(step, batch)
            metrics = self.metrics()
        if all_finite(metrics):
            state = {"generator": self.generator.state_dict(), "optimizer": self.optimizer.state_dict()}
            self._good = copy.deepcopy(state | {"step": self.step})
        return metrics

    def _content(self, images: Tensor) -> Targets:
        view = images, self.objective.strips
        return content_targets(self.objective.backbone, view, self._aim.content_layers, self._aim.content_loss)

    def close(self) -> None:
        # ends the processes that read images; left to the garbage collector, each of them takes five seconds to end
        self._batches = iter(())

    def end(self) -> None:
        self._checked_metrics()
        self.unreadable = self._reduce(self.unreadable.float(), reduce_op="sum") > 0

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """Raw losses and weighted terms of the held-out images as they are painted, means over the images."""
        batches = torch.split(self.held_out, self.data.batch)
        means: dict[str, float] = {}
        self.objective.renew(None, 0)  # the same random draws for every row
        with torch.autocast(self.device.type, enabled=False):  # comparable between runs of different precision
            if not self._held_out_content:
                self._held_out_content = [self._content(batch) for batch in batches]
            for batch, content in zip(batches, self._held_out_content, strict=True):
                terms = self.objective(self.generator(batch), {"content": content})
                for name, value in self.objective.named(terms).items():
                    means[name] = means.get(name, 0.0) + float(value) * len(batch) / len(self.held_out)
        return means

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Held-out images as they are painted, side by side, (1, 3, H, N·W) in [0, 1]."""
        contents = torch.split(self.held_out[:SHOWN], 1)
        painted = [self.generator(image) for image in contents]
        if self._aim.content_colors:
            painted = [with_colors_of(*both) for both in zip(painted, contents, strict=True)]
        return torch.cat(painted, dim=3)

    def files(self) -> dict[str, bytes]:
        """generator.safetensors, for mode=stylize and mode=export."""
        return {"generator.safetensors": encode(self.generator, dict(self.data.facts) | {"steps": self.step})}

    def timings(self) -> dict[str, float]:
        return {"images_per_second": self.step * self.data.batch / self.seconds if self.seconds else 0.0}

    def data_facts(self) -> dict[str, int]:
        return {"unreadable": self.left_out()}

    def left_out(self) -> int:
        return int(self.unreadable[:-1].sum())

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "unreadable": self.unreadable,
            "slowed": self._slowed,
            "good": self._good,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self._slowed, self._good = bool(state["slowed"]), state.get("good")
        if self._good:
            self.generator.load_state_dict(self._good["generator"])
            if not 0 <= self._good["step"] <= self.step:
                raise InputError(f"its last good state is of step {self._good['step']}")
        self.generator.load_state_dict(state["generator"])
        if not self._good and not all(each.isfinite().all() for each in self.generator.state_dict().values()):
            raise InputError("its generator is not finite")
        before, now = ((each.shape, each.dtype) for each in (state["unreadable"], self.unreadable))
        if before != now:
            raise InputError("the images that it could not read are not those of this training")
        self.unreadable.copy_(state["unreadable"])
