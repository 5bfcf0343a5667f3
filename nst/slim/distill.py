"""Distilling the embedded backbone: slim learns the features of a VGG, at a fraction of its cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from nst.backbones import Backbone, NormalizedBackbone
from nst.engine.task import Task
from nst.errors import InputError
from nst.losses.style import StyleLoss
from nst.losses.style.gram import Gram
from nst.losses.style.wasserstein import Wasserstein
from nst.optim.adam import AdamW
from nst.slim.errors import guidance_error, mean_square
from nst.slim.on_policy import OnPolicy, Painter
from nst.slim.photos import Crops, Split, add_noise, center
from nst.slim.start import reconstruction, start_from
from nst.slim.student import Student, Tapped, of_slim, tap, unit_taps

WARM_UP = 200
"""Steps over which the learning rate rises to its full value; from there it falls linearly to 0."""
HELD_OUT_SIDE = 128
"""Height and width in pixels of the center crops of held-out photographs, on which the metrics are computed."""
PAINT_EVERY = 24
"""Training steps after which a batch of images is painted on."""
PAINTED_BY_SLIM = 3 / 4
"""Probability that slim paints; otherwise its teacher does."""
GRAM_SHARE = 0.6
"""Probability of the Gram loss, where slim paints and in guidance; else it is Wasserstein, the default of transfers."""
GUIDE_EVERY, GUIDE_IMAGES, GUIDE_LAYERS = 2, 3, 5
"""Training steps between two steps with the guidance error, and the painted images and layers that it is computed
on."""
PAINTED_CROPS = 1 / 3
"""Share of paintings among the crops."""
START_CROPS = 48
"""Crops on which the channels of the teacher are compared, and reconstructed from slim's."""


@dataclass(frozen=True)
class Data:
    """The images that slim is trained on; the metrics are computed on the photographs that are held out."""

    photos: Split
    paintings: Sequence[Tensor]
    """uint8 (3, H, W) each; none: photographs alone."""


@dataclass(frozen=True)
class Recipe:
    """How slim is trained."""

    lr: float
    """Highest learning rate of AdamW."""
    batch: int
    """Images per step."""
    crop: int
    """Height and width of a crop in pixels."""
    on_policy: float
    """Share of each batch that slim and the teacher painted: there slim's errors matter, and crops do not show them."""
    guidance: float
    """Weight of the guidance error."""


class Distill(Task):
    """Trains slim and, for each of the teacher's layers, a linear head that predicts that layer from slim's.

    The loss is each head's mean squared error over the variance of its target, summed over the layers, plus `guidance`
    times the guidance error, at some random layers at a time; layers that are explained badly are drawn more often.
    The teacher initializes slim.
    The metric `loss/LAYER` is the first error on the held-out photographs: the share of the layer's variance that slim
    does not explain.
    """

    held_out: Tensor

    def __init__(self, teacher: Backbone, data: Data, recipe: Recipe, report_steps: Sequence[int]) -> None:
        super().__init__(report_steps)
        self.teacher, self.recipe, self.layers = teacher, recipe, teacher.layers
        self.student = Student(teacher.mean, teacher.std)
        self.crops = Crops(data.photos.trained, data.paintings, recipe.crop)
        centers = torch.stack([center(photo, HELD_OUT_SIDE) for photo in data.photos.held_out])
        self.register_buffer("held_out", centers, persistent=False)
        self.heads = nn.ModuleDict()
        self._initialize(self.crops.draw(START_CROPS, PAINTED_CROPS))
        self._painted = min(round(recipe.batch * recipe.on_policy), recipe.batch - 1)
        self.on_policy = OnPolicy(self.crops, recipe.batch if self._painted else 0)

    def _initialize(self, images: Tensor) -> None:
        """Initialize slim from the teacher, and add the heads. images: (B, 3, H, W) in [0, 1]."""
        start_from(self.teacher, self.student, images)
        with torch.no_grad():
            features = self.student(images)
            for layer, wanted in self.teacher(images).items():
                self._add_head(layer, features[of_slim(layer)], wanted)

    @torch.no_grad()
    def _add_head(self, layer: str, given: Tensor, wanted: Tensor) -> None:
        """Add a head, initialized by least squares. given, wanted: slim's and the teacher's features, (B, C, H, W)."""
        mean, std = wanted.mean((0, 2, 3)), wanted.var((0, 2, 3)).mean().sqrt()
        self.register_buffer(f"mean_{layer}", mean)
        self.register_buffer(f"std_{layer}", std)
        head: Any = nn.Conv2d(given.shape[1], wanted.shape[1], 1)
        weight, bias = reconstruction(given, wanted)
        head.weight.copy_(weight[..., None, None] / std)
        head.bias.copy_((bias - mean) / std)
        self.heads[layer] = head

    def _head(self, layer: str) -> tuple[Tensor, Tensor]:
        """A head's map to the teacher's features: weight (C of the teacher, C) and bias (C of the teacher)."""
        head: Any = self.heads[layer]
        mean, std = getattr(self, f"mean_{layer}"), getattr(self, f"std_{layer}")
        return head.weight.flatten(1) * std, head.bias * std + mean

    def configure_optimizers(self) -> Optimizer:
        parameters = [*self.student.parameters(), *self.heads.parameters()]
        return AdamW(parameters, lr=self.recipe.lr, weight_decay=1e-4, betas=(0.9, 0.98))

    def forward_on(self, fabric: Fabric) -> None:
        self._backward = fabric.backward

    def imitated(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Layer → the teacher's features as slim predicts them, of images (B, 3, H, W) in [0, 1]."""
        features = self.student(images)
        return {layer: tap(features[of_slim(layer)], *self._head(layer)) for layer in layers}

    def errors(self, images: Tensor) -> dict[str, Tensor]:
        """Layer → mean squared error over images, as a share of the layer's variance over photographs.

        images: (B, 3, H, W) in [0, 1].
        """
        with torch.no_grad():
            targets = self.teacher(images)
        given = self.imitated(images, self.layers)
        return {
            layer: mean_square(wanted - given[layer]) / getattr(self, f"std_{layer}").square()
            for layer, wanted in targets.items()
        }

    def _guidance_error(self, shares: Tensor) -> Tensor:
        """The guidance error on some painted images, for either loss, at some layers, drawn by their `shares`."""
        drawn = torch.multinomial(shares, min(GUIDE_LAYERS, len(shares))).tolist()
        layers, pairs = [self.layers[each] for each in drawn], self.on_policy.draw(GUIDE_IMAGES)
        imitated = partial(self.imitated, layers=layers)  # the other heads would be work for nothing
        return guidance_error(imitated, self.teacher, pairs, layers, _either_loss())

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """`loss/LAYER`: the share of the variance that slim does not explain; `loss/total`: their sum."""
        batches = [self.errors(batch) for batch in self.held_out.chunk(8)]
        losses = {
            f"loss/{layer}": float(sum(batch[layer] for batch in batches)) / len(batches) for layer in self.layers
        }
        return {"loss/total": sum(losses.values())} | losses

    def advance(self, steps: int) -> Mapping[str, Tensor | float]:
        before = self.metrics()
        shares = torch.tensor([before[f"loss/{layer}"] for layer in self.layers])
        for step in range(self.step, self.step + steps):
            if self._painted and step % PAINT_EVERY == 0:
                self.on_policy.paint_on(step // PAINT_EVERY, self._painter)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.lr * min(1, (step + 1) / WARM_UP) * (1 - step / self.report_steps[-1])
            self.optimizer.zero_grad()
            self._backward(torch.stack(list(self.errors(self._draw()).values())).sum())
            if self._painted and self.recipe.guidance and step % GUIDE_EVERY == 0:
                self._backward(self.recipe.guidance * self._guidance_error(shares))
            # a gradient of gradients can overflow on a picture that diverged: one step less, instead of a lost hour
            if nn.utils.clip_grad_norm_(self.parameters(), 2.0).isfinite():
                self.optimizer.step()
        return before

    def _painter(self, images: Tensor) -> Painter:
        """What paints: slim with either loss, or else its teacher; both normalized over images (B, 3, H, W)."""
        if torch.rand(()) < PAINTED_BY_SLIM:
            taps = self.taps(images)
            return Painter(Tapped(self.student, taps), list(taps), _either_loss())
        # not Wasserstein: it is slow on 512 channels
        return Painter(NormalizedBackbone(self.teacher, [images]), self.layers, Gram())

    def _draw(self) -> Tensor:
        crops = add_noise(self.crops.draw(self.recipe.batch - self._painted, PAINTED_CROPS)).to(self.device)
        return torch.cat([crops, self.on_policy.draw(self._painted)[0]])

    @torch.no_grad()
    def taps(self, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Layer of slim → its tap, as `unit_taps` over images (B, 3, H, W) in [0, 1]."""
        teacher = {of_slim(layer): features for layer, features in self.teacher(images).items()}
        return unit_taps(self.student(images), teacher, {of_slim(layer): self._head(layer) for layer in self.layers})

    def files(self) -> dict[str, bytes]:
        """slim.safetensors in float16, as nst.backbones reads it; the taps are scaled on the held-out photographs."""
        tensors = {f"features.{name}": value for name, value in self.student.features.state_dict().items()}
        for layer, (weight, bias) in self.taps(self.held_out).items():
            tensors |= {f"taps.{layer}.weight": weight[..., None, None], f"taps.{layer}.bias": bias}
        return {"slim.safetensors": save({name: value.half().cpu().contiguous() for name, value in tensors.items()})}

    def state(self) -> dict[str, Any]:
        tensors = {name: value for name, value in self.state_dict().items() if not name.startswith("teacher.")}
        return {"tensors": tensors, "random_state": torch.get_rng_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        tensors, mine = state["tensors"], self.state()["tensors"]
        if tensors.keys() != mine.keys() or not all(each.isfinite().all() for each in tensors.values()):
            raise InputError("its tensors are not those of slim, or not finite")
        self.load_state_dict(tensors, strict=False)  # the frozen teacher is not in it
        torch.set_rng_state(state["random_state"].cpu())


def _either_loss() -> StyleLoss:
    return Gram() if torch.rand(()) < GRAM_SHARE else Wasserstein()
