"""The recipe of crowsonkb/style-transfer-pytorch, as published: what is minimized, and how, at one scale.

Departures: each layer is divided by its mean activation (nst's scale for every network), so that weights trained at
another scale than torchvision's, such as Caffe's, do not change the balance; pooling rounds sizes up, as everywhere in
nst; differences in the total variation are not taken across a padded border.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nst.losses.targets import Features
from tools.compare.roots import newton_schulz_root

RIDGE = 1e-4
"""Added to the diagonal of each covariance."""


@dataclass(frozen=True)
class Recipe:
    """The published numbers, but for the steps, of which the peer takes 1000 and 500."""

    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_layer_weights: tuple[float, ...] = (256, 64, 16, 4, 1)
    content_layer: str = "relu4_2"
    content_weight: float = 0.015
    tv_weight: float = 2.0
    learning_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    averaging: float = 0.99
    """Decay of the moving average of the image."""
    smallest: int = 128
    """Longest side at the first scale is at least so many pixels."""
    first_steps: int = 300
    steps: int = 150
    """At each scale after the first."""

    def sizes(self, largest: int) -> list[int]:
        """Longest sides, each √2 times the one before, the last `largest`."""
        sizes = [largest]
        while (smaller := round(largest / 2 ** (len(sizes) / 2))) >= self.smallest:
            sizes.append(smaller)
        return sizes[::-1]

    def steps_at(self, scale: int) -> int:
        """Steps at the scale number `scale`, from 0."""
        return self.steps if scale else self.first_steps


class Gaussian(NamedTuple):
    """Mean (C,), covariance (C, C) and its root (C, C) of a style's features."""

    mean: Tensor
    covariance: Tensor
    root: Tensor


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C), with the ridge, of features (1, C, H, W)."""
    columns = features[0].flatten(1)
    mean = columns.mean(1)
    second = columns @ columns.T / columns.shape[1]
    return mean, second - torch.outer(mean, mean) + RIDGE * torch.eye(len(mean)).to(mean)


def gaussian(features: Tensor) -> Gaussian:
    """A style's target, of its features (1, C, H, W)."""
    mean, covariance = mean_and_covariance(features)
    return Gaussian(mean, covariance, newton_schulz_root(covariance))


def wasserstein(features: Tensor, target: Gaussian) -> Tensor:
    """The squared 2-Wasserstein distance of Gaussians (Gelbrich 1990), divided by C, of features (1, C, H, W)."""
    mean, covariance = mean_and_covariance(features)
    between = newton_schulz_root(target.root @ covariance @ target.root)
    return F.mse_loss(mean, target.mean) + (target.covariance + covariance - 2 * between).diagonal().mean()


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbors of an image (1, 3, H, W): 2/3 for each axis, 1/6 for each diagonal.

    The weights of the nine-point stencil. Source: crowsonkb/style-transfer-pytorch, style_transfer.py.
    """
    down = F.mse_loss(image[..., 1:, :], image[..., :-1, :])
    across = F.mse_loss(image[..., :, 1:], image[..., :, :-1])
    falling = F.mse_loss(image[..., 1:, 1:], image[..., :-1, :-1])
    rising = F.mse_loss(image[..., 1:, :-1], image[..., :-1, 1:])
    return (down + across) * 2 / 3 + (falling + rising) / 6


def objective(network: Features, content: Tensor, style: Tensor, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """The loss, a scalar, of an image (1, 3, H, W) in [0, 1]. content: of the image's size; style: of any."""
    with torch.no_grad():
        wanted = network(content)[recipe.content_layer]
        of_style: Mapping[str, Tensor] = network(style)
        targets = {layer: gaussian(of_style[layer]) for layer in recipe.style_layers}
    whole = sum(recipe.style_layer_weights)
    weights = {layer: each / whole for layer, each in zip(targets, recipe.style_layer_weights, strict=True)}

    def loss(image: Tensor) -> Tensor:
        features = network(image)
        total = recipe.content_weight * F.mse_loss(features[recipe.content_layer], wanted)
        for layer, target in targets.items():
            total = total + weights[layer] * wasserstein(features[layer], target)
        return total + recipe.tv_weight * total_variation(image)

    return loss


class State(NamedTuple):
    """What one scale leaves to the next: the averaged picture, Adam's moments, all (1, 3, H, W), and its steps."""

    picture: Tensor
    mean: Tensor
    square: Tensor
    steps: int

    def resized(self, height: int, width: int) -> "State":
        """The same at another size; squares stay positive."""
        size = [height, width]
        picture, mean = (F.interpolate(each, size, mode="bicubic") for each in (self.picture, self.mean))
        square = F.interpolate(self.square, size, mode="bilinear").relu()
        return State(picture.clamp(0, 1), mean, square, self.steps)


def start(content: Tensor) -> State:
    """Before the first step: the content itself."""
    return State(content, torch.zeros_like(content), torch.zeros_like(content), 0)


def descend(loss: Callable[[Tensor], Tensor], before: State, steps: int, recipe: Recipe) -> tuple[State, float]:
    """Adam's steps at one scale. Returns the state after them and the loss at the last step."""
    image = before.picture.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=recipe.learning_rate, betas=recipe.betas)
    moments = {"exp_avg": before.mean.clone(), "exp_avg_sq": before.square.clone()}
    optimizer.state[image] = {"step": torch.tensor(float(before.steps)), **moments}
    average, share, value = torch.zeros_like(before.picture), 0.0, torch.zeros(())
    for _ in range(steps):
        value = loss(image)
        (image.grad,) = torch.autograd.grad(value, [image])
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
            average.lerp_(image, 1 - recipe.averaging)
        share = recipe.averaging * share + 1 - recipe.averaging
    state = optimizer.state[image]
    return State(average / share, state["exp_avg"], state["exp_avg_sq"], before.steps + steps), float(value.detach())
