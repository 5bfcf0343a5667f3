"""Distilling the embedded backbone: slim learns to see as real networks do, at a fraction of their cost."""

from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from nst.distillation import Student, Tapped, Teacher, fold_heads, paint, start_from, tap
from nst.photos import Crops, add_noise, centre
from nst.tasks.chunks import ChunkedTask

WARM_UP = 200
"""Steps over which the learning rate rises to its full value; from there it falls linearly to 0."""
HELD_OUT_SIDE = 128
"""Pixels a side of the held-out photographs' middles, on which the figures are measured."""
POOL, REFRESH_EVERY = 64, 20
"""Images of slim's own in the pool, and steps after which a batch of them is replaced."""
START_PHOTOS = 60
"""Photographs over which a teacher's channels are compared."""


class Distill(ChunkedTask):
    """Trains slim and, for each teacher layer, a linear head that predicts it from slim's layer.

    The loss is each head's mean squared error over the variance of its target, summed over the targets. The same on
    the held-out photographs is the figure `loss/TEACHER_LAYER`: the share of the variance that slim does not explain.
    Teachers that stack VGG's layers give slim its start.
    photos, held_out: uint8 (3, H, W). on_policy: the share of each batch that slim itself painted, half-way through
    transfers and textures: there its errors matter, and photographs never show them.
    """

    held_out: Tensor
    pool: Tensor

    def __init__(
        self,
        teachers: Mapping[str, Teacher],
        photos: list[Tensor],
        held_out: list[Tensor],
        stops: list[int],
        lr: float = 1e-3,
        batch: int = 8,
        crop: int = 96,
        on_policy: float = 0.5,
    ) -> None:
        super().__init__(stops)
        self.teachers = dict(teachers)
        self._frozen = nn.ModuleList(teacher.backbone for teacher in self.teachers.values())
        backbone = next(iter(self.teachers.values())).backbone
        self.student = Student(backbone.mean, backbone.std)
        self.pairs = {
            f"{name}_{seen}": layer for name, teacher in self.teachers.items() for seen, layer in teacher.pairs.items()
        }
        self.crops = Crops(photos, crop)
        self.lr, self.batch, self.painted_share = lr, batch, on_policy
        middles = torch.stack([centre(photo, HELD_OUT_SIDE) for photo in held_out])
        self.register_buffer("held_out", middles, persistent=False)
        self.register_buffer("pool", torch.empty(0, 3, crop, crop, dtype=torch.uint8))
        self.heads = nn.ModuleDict()
        targets = self.targets(self.crops.draw(32))
        for name, layer in self.pairs.items():
            head = nn.Conv2d(self.student.convolutions()[layer].out_channels, targets[name].shape[1], 1)
            with torch.no_grad():
                head.weight.mul_(0.3)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]
            self.heads[name] = head
            self.register_buffer(f"mean_{name}", targets[name].mean((0, 2, 3), keepdim=True))
            self.register_buffer(f"std_{name}", targets[name].var((0, 2, 3)).mean().sqrt())
        for name, teacher in self.teachers.items():
            started = start_from(teacher, self.student, photos[:: max(1, len(photos) // START_PHOTOS)])
            for layer, (slope, offset) in started.items():
                self._set_head(f"{name}_{layer}", slope, offset)

    @torch.no_grad()
    def _set_head(self, name: str, weight: Tensor, bias: Tensor) -> None:
        """Make a head predict weight · features + bias, in the teacher's units."""
        head: Any = self.heads[name]
        mean, std = getattr(self, f"mean_{name}").flatten(), getattr(self, f"std_{name}")
        head.weight.copy_(weight[..., None, None] / std)
        head.bias.copy_((bias - mean) / std)

    def configure_optimizers(self) -> Optimizer:
        parameters = [*self.student.parameters(), *self.heads.parameters()]
        return AdamW(parameters, lr=self.lr, weight_decay=1e-4, betas=(0.9, 0.98))

    def targets(self, images: Tensor) -> dict[str, Tensor]:
        """What every teacher sees in (B, 3, H, W) images: TEACHER_LAYER → features."""
        return {
            f"{name}_{layer}": seen
            for name, teacher in self.teachers.items()
            for layer, seen in teacher.see(images).items()
        }

    def errors(self, images: Tensor) -> dict[str, Tensor]:
        """Teacher layer → the share of its variance over photographs that slim does not explain on `images`."""
        features, targets = self.student(images), self.targets(images)
        return {name: self._error(name, features[layer], targets[name]) for name, layer in self.pairs.items()}

    def _error(self, name: str, features: Tensor, target: Tensor) -> Tensor:
        wanted = (target - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}")
        given = self.heads[name](features)
        # pooling that rounds up gives a teacher one row and column more
        height, width = (min(sides) for sides in zip(given.shape[2:], wanted.shape[2:], strict=True))
        return F.mse_loss(given[..., :height, :width], wanted[..., :height, :width])

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        batches = [self.errors(batch) for batch in self.held_out.chunk(8)]
        figures = {f"loss/{name}": float(sum(batch[name] for batch in batches)) / len(batches) for name in self.pairs}
        return {"loss/total": sum(figures.values())} | figures

    def run_chunk(self, steps: int) -> Mapping[str, float]:
        before = self.figures()
        optimizer: Any = self.optimizers()
        for step in range(self.step, self.step + steps):
            if self.painted_share and step % REFRESH_EVERY == 0:
                self._refresh_pool()
            for group in optimizer.param_groups:
                group["lr"] = self.lr * min(1, (step + 1) / WARM_UP) * (1 - step / self.stops[-1])
            loss = torch.stack(list(self.errors(self._draw()).values())).sum()
            optimizer.zero_grad()
            self.manual_backward(loss)
            nn.utils.clip_grad_norm_(self.parameters(), 2.0)
            optimizer.step()
        return before

    def _draw(self) -> Tensor:
        painted = min(round(self.batch * self.painted_share), len(self.pool))
        photos = add_noise(self.crops.draw(self.batch - painted)).to(self.device)
        own = self.pool[torch.randint(max(len(self.pool), 1), (painted,))].float() / 255
        return torch.cat([photos, own])

    def _refresh_pool(self) -> None:
        content, style = self.crops.draw(self.batch).to(self.device), self.crops.draw(self.batch).to(self.device)
        painted = paint(Tapped(self.student, self.taps(content)), content, style)
        self.pool = torch.cat([self.pool, painted.mul(255).round().byte()])[-POOL:]

    @torch.no_grad()
    def taps(self, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Layer of slim → weight (C, C) and bias (C) of its tap, scaled to mean absolute value 1 over images."""
        features = self.student(images)
        taps = {}
        for layer in dict.fromkeys(self.pairs.values()):
            names = [name for name, of in self.pairs.items() if of == layer]
            heads: list[Any] = [self.heads[name] for name in names]
            offsets = [getattr(self, f"mean_{name}").flatten() / getattr(self, f"std_{name}") for name in names]
            weight, bias = fold_heads(
                [head.weight.flatten(1) for head in heads],
                [head.bias + offset for head, offset in zip(heads, offsets, strict=True)],
            )
            scale = tap(features[layer], weight, bias).abs().mean()
            taps[layer] = weight / scale, bias / scale
        return taps

    def files(self) -> dict[str, bytes]:
        """slim.safetensors, float16, as nst.backbones reads it; taps scaled over the held-out photographs."""
        state = {f"features.{name}": value for name, value in self.student.features.state_dict().items()}
        for layer, (weight, bias) in self.taps(self.held_out).items():
            state |= {f"taps.{layer}.weight": weight[..., None, None], f"taps.{layer}.bias": bias}
        return {"slim.safetensors": save({name: value.half().cpu().contiguous() for name, value in state.items()})}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith("_frozen.")}
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.pool = checkpoint["state_dict"]["pool"].to(self.device)
        torch.set_rng_state(checkpoint["random_state"])
