"""What nst's speed is compared with: a baseline loop, a lower bound for any loop, and matrix products.

`python -m tools.bench.loops` runs one of them in a process of its own and prints what it measured, as JSON.
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
from nst.backbones.networks.vgg import vgg_names
from nst.devices import peak_memory_mb, synchronize
from nst.images.files import load
from nst.memory.system import keep_freed_memory

CONTENT = ["conv4_1"]
STYLE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
PRECISIONS = ["float32", "tf32", "bfloat16"]
"""Of everything but the baseline, which keeps torch's defaults: float32, whose convolutions are TF32 on a GPU."""
WARM_UP, FEWEST = 2, 3
"""Steps before the clock starts, and the smallest number of timed steps."""


def baseline(content: Tensor, style: Tensor, weights: Path, optimizer: str) -> Callable[[], None]:
    """One step of the usual loop: VGG-19 as loaded, channels first, with gradients of its weights computed too.

    The layers, the content and style losses and the history size of L-BFGS are the same as in nst.
    content, style: (1, 3, H, W) in [0, 1]. weights: a safetensors file in torchvision's names, to conv5_1.
    optimizer: "lbfgs" or "adam".
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

    def encode(image: Tensor) -> dict[str, Tensor]:
        x, encoded = (image - mean) / std, {}
        for name, module in zip(names, features, strict=False):
            x = module(x)
            encoded[name] = x
        return encoded

    def gram(maps: Tensor) -> Tensor:
        _, channels, height, width = maps.shape
        flat = maps.view(channels, height * width)
        return flat @ flat.t() / (channels * height * width)

    with torch.no_grad():
        of_content, of_style = encode(content), encode(style)
    content_targets = {layer: of_content[layer] for layer in CONTENT}
    style_targets = {layer: gram(of_style[layer]) for layer in STYLE}
    del of_content, of_style  # frees the features of all other layers
    image = content.clone().requires_grad_()
    stepper: torch.optim.Optimizer
    if optimizer == "lbfgs":
        stepper = torch.optim.LBFGS([image], max_iter=1, history_size=10)  # without a line search: one evaluation
    else:
        stepper = torch.optim.Adam([image], lr=0.02)

    def evaluate() -> Tensor:
        stepper.zero_grad()
        encoded = encode(image)
        loss = sum((F.mse_loss(encoded[layer], target) for layer, target in content_targets.items()), torch.zeros(()))
        for layer, target in style_targets.items():
            loss = loss + 1e6 * F.mse_loss(gram(encoded[layer]), target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    return lambda: stepper.step(evaluate)  # type: ignore[no-untyped-call]


def lower_bound(content: Tensor, backbone: Backbone) -> Callable[[], None]:
    """One step of the network alone, without losses and an optimizer: forward to the deepest layer, back to the image.

    content: (1, 3, H, W) in [0, 1].
    """
    image = content.clone().requires_grad_()
    gradients: list[Tensor] = []

    def step() -> None:
        image.grad = None
        features = list(backbone(image).values())
        if not gradients:
            gradients.extend(map(torch.ones_like, features))
        torch.autograd.backward(features, gradients)

    return step


def matmul(device: torch.device, precision: str) -> Callable[[], None]:
    """One product of two 2048 × 2048 matrices: the highest rate of arithmetic that a machine is asked for here."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    one, other = torch.rand(2, 2048, 2048, device=device).to(dtype)

    def step() -> None:
        one @ other

    return step


def flops(step: Callable[[], None]) -> int:
    """Floating-point operations of a step: those of its convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def clocked(step: Callable[[], None], device: torch.device, seconds: float) -> list[float]:
    """Seconds of each of as many steps as fit into `seconds`, at least FEWEST."""
    for _ in range(WARM_UP):
        step()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < FEWEST:
        synchronize(device)
        started = time.perf_counter()
        step()
        synchronize(device)
        taken.append(time.perf_counter() - started)
    return taken


def main() -> None:
    """Time the steps of one loop."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.loops", description=main.__doc__)
    parser.add_argument("loop", choices=["baseline", "lower_bound", "matmul"])
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True, help="longest side in pixels")
    parser.add_argument("--backbone", default="vgg19", help="of lower_bound")
    parser.add_argument("--weights", type=Path, help="of vgg19: a safetensors file")
    parser.add_argument("--optimizer", choices=["lbfgs", "adam"], default="lbfgs", help="of baseline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of lower_bound and matmul")
    parser.add_argument("--seconds", type=float, default=5, help="how long to time steps")
    given = parser.parse_args()
    device = torch.device(given.device)
    content, style = (load(path, given.size).to(device) for path in (given.content, given.style))
    if given.loop == "matmul":
        step = matmul(device, given.precision)
    elif given.loop == "baseline":
        step = baseline(content, style, given.weights, given.optimizer)
    else:
        torch.backends.cudnn.allow_tf32 = given.precision == "tf32"
        weights = str(given.weights) if given.weights else None
        keep_freed_memory()  # as nst does
        padding = "reflect" if given.backbone == "slim" else "zeros"  # as in conf/backbone
        step = lower_bound(content, Backbone(given.backbone, [*CONTENT, *STYLE], weights, padding=padding).to(device))
    with torch.autocast(device.type, torch.bfloat16, enabled=given.precision == "bfloat16"):
        taken = clocked(step, device, given.seconds)
    peak = peak_memory_mb(device)
    json.dump({"seconds": taken, "peak_memory_mb": peak, "gigaflop": flops(step) / 1e9}, sys.stdout)


if __name__ == "__main__":
    main()
