"""Distilling the embedded backbone: slim learns the features of real networks, at a fraction of their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from nst.backbones import NormalizedBackbone
from nst.engine.task import Task
from nst.losses.targets import Features
from nst.slim.errors import guidance_error, mean_square
from nst.slim.paintings import Paintings
from nst.slim.photos import Crops, add_noise, center
from nst.slim.start import reconstruction, start_from
from nst.slim.student import Student, Tapped, fold_heads, tap
from nst.slim.teacher import Teacher, crop_like

WARM_UP = 200
"""Steps over which the learning rate rises to its full value; from there it falls linearly to 0."""
HELD_OUT_SIDE = 128
"""Height and width in pixels of the center crops of held-out photographs, on which the metrics are computed."""
PAINT_EVERY = 36
"""Training steps after which a batch of images is painted on."""
PAINTED_BY_SLIM = 2 / 3
"""Probability that slim paints; otherwise one of the teachers does."""
GUIDE_EVERY, GUIDE_IMAGES = 3, 4
"""Training steps between two steps with the guidance error, and painted images that it is computed on."""
START_CROPS = 96
"""Crops on which the channels of teachers are compared, and reconstructed from slim's."""


@dataclass(frozen=True)
class Photos:
    """Photographs, each uint8 (3, H, W): those to train on, and those held out for the metrics."""

    trained: Sequence[Tensor]
    held_out: Sequence[Tensor]


@dataclass(frozen=True)
class Recipe:
    """How slim is trained."""

    lr: float = 7e-4
    """Highest learning rate of AdamW."""
    batch: int = 8
    """Images per step."""
    crop: int = 112
    """Height and width of a crop in pixels."""
    on_policy: float = 0.5
    """Share of each batch that slim and the teachers painted: there slim's errors matter, and photographs do not
    show them."""
    guidance: float = 1.0
    """Weight of the guidance error."""
    compiled: bool = False
    """Use torch.compile, for speed."""


class Distill(Task):
    """Trains slim and, for each teacher layer, a linear head that predicts that layer from slim's layer.

    The loss is each head's mean squared error over the variance of its target, summed over the teachers' layers, plus
    `guidance` times the guidance error. The latter is computed for one random layer at a time; layers that are
    explained badly are drawn more often. The teachers initialize slim.
    The metric `loss/TEACHER_LAYER` is the first error on the held-out photographs: the share of the layer's variance
    that slim does not explain.
    """

    held_out: Tensor

    def __init__(
        self, teachers: Mapping[str, Teacher], photos: Photos, recipe: Recipe, report_steps: Sequence[int]
    ) -> None:
        super().__init__(report_steps)
        self.teachers, self.recipe = dict(teachers), recipe
        self._frozen = nn.ModuleList(teacher.backbone for teacher in self.teachers.values())
        backbone = next(iter(self.teachers.values())).backbone
        self.student = Student(backbone.mean, backbone.std)
        self.pairs = {
            f"{name}_{layer}": of for name, teacher in self.teachers.items() for layer, of in teacher.pairs.items()
        }
        self.crops = Crops(list(photos.trained), recipe.crop)
        self._trained_errors = torch.compile(self.errors) if recipe.compiled else self.errors
        centers = torch.stack([center(photo, HELD_OUT_SIDE) for photo in photos.held_out])
        self.register_buffer("held_out", centers, persistent=False)
        self.heads = nn.ModuleDict()
        self._initialize(self.crops.draw(START_CROPS))
        self._painted = round(recipe.batch * recipe.on_policy)
        self.paintings = Paintings(self.crops, recipe.batch if self._painted else 0)

    def _initialize(self, images: Tensor) -> None:
        """Initialize slim from the teachers, and add the heads. images: (B, 3, H, W) in [0, 1]."""
        for teacher in self.teachers.values():
            start_from(teacher, self.student, images)
        with torch.no_grad():
            features = self.student(images)
            for name, teacher in self.teachers.items():
                for layer, wanted in teacher.features(images).items():
                    self._add_head(f"{name}_{layer}", features[teacher.pairs[layer]], wanted)

    @torch.no_grad()
    def _add_head(self, name: str, given: Tensor, wanted: Tensor) -> None:
        """Add a head, initialized by least squares. given, wanted: slim's and the teacher's features, (B, C, H, W)."""
        mean, std = wanted.mean((0, 2, 3)), wanted.var((0, 2, 3)).mean().sqrt()
        self.register_buffer(f"mean_{name}", mean)
        self.register_buffer(f"std_{name}", std)
        head: Any = nn.Conv2d(given.shape[1], wanted.shape[1], 1)
        weight, bias = reconstruction(given, wanted)
        head.weight.copy_(weight[..., None, None] / std)
        head.bias.copy_((bias - mean) / std)
        self.heads[name] = head

    def _head(self, name: str) -> tuple[Tensor, Tensor]:
        """A head's map to the teacher's features: weight (C of the teacher, C) and bias (C of the teacher)."""
        head: Any = self.heads[name]
        mean, std = getattr(self, f"mean_{name}"), getattr(self, f"std_{name}")
        return head.weight.flatten(1) * std, head.bias * std + mean

    def configure_optimizers(self) -> Optimizer:
        parameters = [*self.student.parameters(), *self.heads.parameters()]
        return AdamW(parameters, lr=self.recipe.lr, weight_decay=1e-4, betas=(0.9, 0.98))

    def forward_on(self, fabric: Fabric) -> None:
        self._backward = fabric.backward

    def errors(self, images: Tensor, sparing: bool = True) -> dict[str, Tensor]:
        """TEACHER_LAYER → mean squared error over images, as a share of the layer's variance over photographs.

        images: (B, 3, H, W) in [0, 1]. sparing: run a teacher on one in `every` of the images only.
        """
        features = self.student(images)
        errors = {}
        for of, teacher in self.teachers.items():
            every = teacher.every if sparing else 1
            with torch.no_grad():
                targets = teacher.features(images[::every])
            for layer, wanted in targets.items():
                name = f"{of}_{layer}"
                given = tap(features[self.pairs[name]][::every], *self._head(name))
                errors[name] = mean_square(crop_like(wanted, given) - given) / getattr(self, f"std_{name}").square()
        return errors

    def _guidance_error(self, shares: Tensor) -> Tensor:
        """The guidance error of one teacher on some painted images, for one layer, drawn in proportion to `shares`."""
        drawn = int(torch.multinomial(shares, 1))
        of, layer = [(of, layer) for of, teacher in self.teachers.items() for layer in teacher.pairs][drawn]
        teacher = self.teachers[of]

        def slim(images: Tensor) -> dict[str, Tensor]:
            features = self.student(images)
            return {name: tap(features[mine], *self._head(f"{of}_{name}")) for name, mine in teacher.pairs.items()}

        return guidance_error(slim, teacher.features, *self.paintings.draw(GUIDE_IMAGES), layer)

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """`loss/TEACHER_LAYER`: the share of the variance that slim does not explain; `loss/total`: their sum."""
        batches = [self.errors(batch, sparing=False) for batch in self.held_out.chunk(8)]
        losses = {f"loss/{name}": float(sum(batch[name] for batch in batches)) / len(batches) for name in self.pairs}
        return {"loss/total": sum(losses.values())} | losses

    def advance(self, steps: int) -> Mapping[str, Tensor | float]:
        before = self.metrics()
        shares = torch.tensor([before[f"loss/{name}"] for name in self.pairs])
        for step in range(self.step, self.step + steps):
            if self._painted and step % PAINT_EVERY == 0:
                self.paintings.paint_on(step // PAINT_EVERY, self._painter)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.lr * min(1, (step + 1) / WARM_UP) * (1 - step / self.report_steps[-1])
            self.optimizer.zero_grad()
            self._backward(torch.stack(list(self._trained_errors(self._draw()).values())).sum())
            if self._painted and self.recipe.guidance and step % GUIDE_EVERY == 0:
                self._backward(self.recipe.guidance * self._guidance_error(shares))
            nn.utils.clip_grad_norm_(self.parameters(), 2.0)
            self.optimizer.step()
        return before

    def _painter(self, images: Tensor) -> tuple[Features, list[str]]:
        """The network that paints, normalized over images, and its layers: slim, or else one of the teachers."""
        if torch.rand(()) < PAINTED_BY_SLIM:
            taps = self.taps(images)
            return Tapped(self.student, taps), list(taps)
        teacher = list(self.teachers.values())[int(torch.randint(len(self.teachers), ()))]
        return NormalizedBackbone(teacher.features, [images]), list(teacher.pairs)

    def _draw(self) -> Tensor:
        photos = add_noise(self.crops.draw(self.recipe.batch - self._painted)).to(self.device)
        return torch.cat([photos, self.paintings.draw(self._painted)[0]])

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
        """slim.safetensors in float16, as nst.backbones reads it; the taps are scaled on the held-out photographs."""
        tensors = {f"features.{name}": value for name, value in self.student.features.state_dict().items()}
        for layer, (weight, bias) in self.taps(self.held_out).items():
            tensors |= {f"taps.{layer}.weight": weight[..., None, None], f"taps.{layer}.bias": bias}
        return {"slim.safetensors": save({name: value.half().cpu().contiguous() for name, value in tensors.items()})}

    def state(self) -> dict[str, Any]:
        tensors = {name: value for name, value in self.state_dict().items() if not name.startswith("_frozen.")}
        return {"tensors": tensors, "random_state": torch.get_rng_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["tensors"], strict=False)  # the frozen teachers are not in it
        torch.set_rng_state(state["random_state"].cpu())
