"""Distilling the embedded backbone: slim learns to see as real networks do, at a fraction of their cost."""

from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from nst.backbones import Unit
from nst.distillation import (
    Paintings,
    Student,
    Tapped,
    Teacher,
    fold_heads,
    guidance_error,
    line_up,
    mean_square,
    reconstruction,
    start_from,
    tap,
)
from nst.objective import Features
from nst.photos import Crops, add_noise, centre
from nst.tasks.chunks import ChunkedTask

WARM_UP = 200
"""Steps over which the learning rate rises to its full value; from there it falls linearly to 0."""
HELD_OUT_SIDE = 128
"""Pixels a side of the held-out photographs' middles, on which the figures are measured."""
PAINT_EVERY = 36
"""Training steps after which a batch of images is painted on."""
PAINTED_BY_SLIM = 2 / 3
"""Share of visits in which slim paints; in the others one of the teachers does."""
GUIDE_EVERY, GUIDE_IMAGES = 3, 4
"""Training steps between two measurements of the guidance error, and painted images that it is measured on."""
START_CROPS = 96
"""Crops over which the channels of teachers are compared, and reconstructed from slim's."""


class Distill(ChunkedTask):
    """Trains slim and, for each teacher layer, a linear head that predicts it from slim's layer.

    The loss is each head's mean squared error over the variance of its target, summed over the teachers' layers. The
    same on the held-out photographs is the figure `loss/TEACHER_LAYER`: the share of the variance that slim does not
    explain. To it comes `guidance` times the guidance error, of one layer at a time, drawn the more often the less of
    it is explained. The teachers give slim its start.
    photos, held_out: uint8 (3, H, W). on_policy: the share of each batch that slim and the teachers painted: there
    slim's errors matter, and photographs never show them. compiled: by torch.compile, for speed.
    """

    held_out: Tensor

    def __init__(
        self,
        teachers: Mapping[str, Teacher],
        photos: list[Tensor],
        held_out: list[Tensor],
        stops: list[int],
        lr: float = 7e-4,
        batch: int = 8,
        crop: int = 112,
        on_policy: float = 0.5,
        guidance: float = 1.0,
        compiled: bool = False,
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
        self.lr, self.batch, self.guidance = lr, batch, guidance
        self._trained_errors = torch.compile(self.errors) if compiled else self.errors
        middles = torch.stack([centre(photo, HELD_OUT_SIDE) for photo in held_out])
        self.register_buffer("held_out", middles, persistent=False)
        self.heads = nn.ModuleDict()
        some = self.crops.draw(START_CROPS)
        for teacher in self.teachers.values():
            start_from(teacher, self.student, some)
        with torch.no_grad():
            features = self.student(some)
            for name, teacher in self.teachers.items():
                for layer, seen in teacher.see(some).items():
                    self._add_head(f"{name}_{layer}", features[teacher.pairs[layer]], seen)
        self._share = round(batch * on_policy)
        self.paintings = Paintings(self.crops, batch if self._share else 0)

    @torch.no_grad()
    def _add_head(self, name: str, given: Tensor, wanted: Tensor) -> None:
        """A head that predicts a teacher's features from slim's, as well as it can to begin with."""
        mean, std = wanted.mean((0, 2, 3)), wanted.var((0, 2, 3)).mean().sqrt()
        self.register_buffer(f"mean_{name}", mean)
        self.register_buffer(f"std_{name}", std)
        head: Any = nn.Conv2d(given.shape[1], wanted.shape[1], 1)
        weight, bias = reconstruction(given, wanted)
        head.weight.copy_(weight[..., None, None] / std)
        head.bias.copy_((bias - mean) / std)
        self.heads[name] = head

    def _head(self, name: str) -> tuple[Tensor, Tensor]:
        """What a head maps features by, in the teacher's units: weight (C teacher, C) and bias (C teacher)."""
        head: Any = self.heads[name]
        mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
        return head.weight.flatten(1) * std, head.bias * std + mean

    def configure_optimizers(self) -> Optimizer:
        parameters = [*self.student.parameters(), *self.heads.parameters()]
        return AdamW(parameters, lr=self.lr, weight_decay=1e-4, betas=(0.9, 0.98))

    def errors(self, images: Tensor, sparing: bool = True) -> dict[str, Tensor]:
        """Teacher layer → the share of its variance over photographs that slim does not explain on (B, 3, H, W) images.

        sparing: show a teacher one in `every` of the images only.
        """
        features = self.student(images)
        errors = {}
        for of, teacher in self.teachers.items():
            every = teacher.every if sparing else 1
            with torch.no_grad():
                targets = teacher.see(images[::every])
            for layer, wanted in targets.items():
                name = f"{of}_{layer}"
                given = tap(features[self.pairs[name]][::every], *self._head(name))
                errors[name] = mean_square(line_up(wanted, given) - given) / getattr(self, f"std_{name}").square()
        return errors

    def _guidance_error(self, shares: Tensor) -> Tensor:
        """The guidance error of one teacher, with a layer drawn in proportion to `shares`, on some painted images."""
        drawn = int(torch.multinomial(shares, 1))
        of, layer = [(of, layer) for of, teacher in self.teachers.items() for layer in teacher.pairs][drawn]
        teacher = self.teachers[of]

        def slim(pictures: Tensor) -> dict[str, Tensor]:
            features = self.student(pictures)
            return {seen: tap(features[mine], *self._head(f"{of}_{seen}")) for seen, mine in teacher.pairs.items()}

        return guidance_error(slim, teacher.see, *self.paintings.draw(GUIDE_IMAGES), layer)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        batches = [self.errors(batch, sparing=False) for batch in self.held_out.chunk(8)]
        figures = {f"loss/{name}": float(sum(batch[name] for batch in batches)) / len(batches) for name in self.pairs}
        return {"loss/total": sum(figures.values())} | figures

    def run_chunk(self, steps: int) -> Mapping[str, float]:
        before = self.figures()
        shares = torch.tensor([before[f"loss/{name}"] for name in self.pairs])
        optimizer: Any = self.optimizers()
        for step in range(self.step, self.step + steps):
            if self._share and step % PAINT_EVERY == 0:
                self.paintings.paint_on(step // PAINT_EVERY, self._painter)
            for group in optimizer.param_groups:
                group["lr"] = self.lr * min(1, (step + 1) / WARM_UP) * (1 - step / self.stops[-1])
            optimizer.zero_grad()
            self.manual_backward(torch.stack(list(self._trained_errors(self._draw()).values())).sum())
            if self._share and self.guidance and step % GUIDE_EVERY == 0:
                self.manual_backward(self.guidance * self._guidance_error(shares))
            nn.utils.clip_grad_norm_(self.parameters(), 2.0)
            optimizer.step()
        return before

    def _painter(self, images: Tensor) -> tuple[Features, list[str]]:
        """Who paints on, in the scale of images, and its layers: slim, or else one of the teachers."""
        if torch.rand(()) < PAINTED_BY_SLIM:
            taps = self.taps(images)
            return Tapped(self.student, taps), list(taps)
        teacher = list(self.teachers.values())[int(torch.randint(len(self.teachers), ()))]
        return Unit(teacher.see, [images]), list(teacher.pairs)

    def _draw(self) -> Tensor:
        photos = add_noise(self.crops.draw(self.batch - self._share)).to(self.device)
        return torch.cat([photos, self.paintings.draw(self._share)[0]])

    @torch.no_grad()
    def taps(self, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Layer of slim → weight (C, C) and bias (C) of its tap, scaled to mean absolute value 1 over images."""
        features = self.student(images)
        taps = {}
        for layer in dict.fromkeys(self.pairs.values()):
            heads = {name: self._head(name) for name, of in self.pairs.items() if of == layer}
            weight, bias = fold_heads(
                [weight / getattr(self, f"std_{name}") for name, (weight, _) in heads.items()],
                [bias / getattr(self, f"std_{name}") for name, (_, bias) in heads.items()],
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
        torch.set_rng_state(checkpoint["random_state"])
