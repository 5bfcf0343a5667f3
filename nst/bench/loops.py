"""What nst's speed is measured against: the textbook's loop, the floor below which no loop can go, matrix products.

`python -m nst.bench.loops` runs one of them in a process of its own and prints what it measured, as JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nst.backbones import Backbone
from nst.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from nst.imagefile import load
from nst.layers import vgg_names
from nst.memory import keep
from nst.record import peak_memory_mb

CONTENT = ["conv4_1"]
STYLE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
PRECISIONS = ["float32", "tf32", "bfloat16"]
"""Of all but the textbook's loop, which is in float32 as torch has it; on a GPU that is tf32."""
WARM_UP, FEWEST = 2, 3
"""Steps before the clock starts, and steps that are clocked at least."""


def textbook(content: Tensor, style: Tensor, weights: Path, optimizer: str) -> Callable[[], None]:
    """One step of the textbook's loop: VGG-19 as it is loaded, channels first, its weights' gradients computed too.

    The layers are nst's, and so are the content and style losses and the steps that L-BFGS remembers.
    """
    features = torchvision.models.vgg19(weights=None).features
    names = vgg_names(features)
    features = features[: names.index("conv5_1") + 1]
    state = load_file(weights)
    features.load_state_dict({name: state[f"features.{name}"] for name in features.state_dict()})
    features.to(content.device)
    for module in features:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    mean, std = (torch.tensor(each, device=content.device)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_STD))

    def see(image: Tensor) -> dict[str, Tensor]:
        x, seen = (image - mean) / std, {}
        for name, module in zip(names, features, strict=False):
            x = module(x)
            seen[name] = x
        return seen

    def gram(maps: Tensor) -> Tensor:
        _, channels, height, width = maps.shape
        flat = maps.view(channels, height * width)
        return flat @ flat.t() / (channels * height * width)

    with torch.no_grad():
        of_content, of_style = see(content), see(style)
    kept = {layer: of_content[layer] for layer in CONTENT}
    matched = {layer: gram(of_style[layer]) for layer in STYLE}
    del of_content, of_style  # only the targets are kept
    image = content.clone().requires_grad_()
    optimiser: torch.optim.Optimizer
    if optimizer == "lbfgs":
        optimiser = torch.optim.LBFGS([image], max_iter=1, history_size=10)  # without a line search: one evaluation
    else:
        optimiser = torch.optim.Adam([image], lr=0.02)

    def evaluate() -> Tensor:
        optimiser.zero_grad()
        seen = see(image)
        loss = sum((F.mse_loss(seen[layer], target) for layer, target in kept.items()), torch.zeros(()))
        for layer, target in matched.items():
            loss = loss + 1e6 * F.mse_loss(gram(seen[layer]), target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    return lambda: optimiser.step(evaluate)  # type: ignore[no-untyped-call]


def floor(content: Tensor, backbone: Backbone) -> Callable[[], None]:
    """One step of the arithmetic alone: a frozen network to its deepest layer, and back to the image."""
    image = content.clone().requires_grad_()
    gradients: list[Tensor] = []

    def step() -> None:
        image.grad = None
        seen = list(backbone(image).values())
        if not gradients:
            gradients.extend(map(torch.ones_like, seen))
        torch.autograd.backward(seen, gradients)

    return step


def flops(step: Callable[[], None]) -> int:
    """Floating-point operations of a step, those of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matmul(device: torch.device, precision: str) -> Callable[[], None]:
    """One step of what a machine does fastest: the product of two large matrices."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    one, other = torch.rand(2, 2048, 2048, device=device).to(dtype)

    def step() -> None:
        one @ other

    return step


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clocked(step: Callable[[], None], device: torch.device, seconds: float) -> list[float]:
    """Seconds of each of as many steps as fit into `seconds`."""
    for _ in range(WARM_UP):
        step()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < FEWEST:
        wait(device)
        began = time.perf_counter()
        step()
        wait(device)
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m nst.bench.loops", description=__doc__)
    parser.add_argument("loop", choices=["textbook", "floor", "matmul"])
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--backbone", default="vgg19")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--optimizer", choices=["lbfgs", "adam"], default="lbfgs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="not of the textbook")
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    device = torch.device(given.device)
    content, style = (load(path, given.size).to(device) for path in (given.content, given.style))
    if given.loop == "matmul":
        step = matmul(device, given.precision)
    elif given.loop == "textbook":
        step = textbook(content, style, given.weights, given.optimizer)
    else:
        torch.backends.cudnn.allow_tf32 = given.precision == "tf32"
        weights = str(given.weights) if given.weights else None
        keep()  # as nst does
        padding = "reflect" if given.backbone == "slim" else "zeros"  # as conf/backbone has them
        step = floor(content, Backbone(given.backbone, [*CONTENT, *STYLE], weights, padding=padding).to(device))
    with torch.autocast(device.type, torch.bfloat16, enabled=given.precision == "bfloat16"):
        taken = clocked(step, device, given.seconds)
    peak = peak_memory_mb(device)
    json.dump({"seconds": taken, "peak_memory_mb": peak, "gigaflop": flops(step) / 1e9}, sys.stdout)


if __name__ == "__main__":
    main()
