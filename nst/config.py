"""The keys of an experiment: type, default, unit, range and meaning. Hydra checks files and overrides against them.

A mode's own section, such as `distill`, and a tracker's own keys are declared beside the mode and the tracker.
"""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING

from nst.choices import (
    Accelerator,
    BackboneScale,
    Colors,
    ColorSpace,
    Outside,
    Padding,
    Pooling,
    Precision,
    Propagation,
)


def key(
    default: Any, meaning: str, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> Any:
    """A field with its one-line meaning and, for a number, its range; a mutable default is copied."""
    metadata = {"meaning": meaning, "at_least": at_least, "above": above, "at_most": at_most}
    if isinstance(default, list | dict) or (is_dataclass(default) and isinstance(default, type)):
        return field(default_factory=default.copy if isinstance(default, list | dict) else default, metadata=metadata)
    return field(default=default, metadata=metadata)


LARGEST = 1e38
"""Of factors. Numbers of float32 end at 3.4e38."""
MOST_STEPS, MOST_REPEATS = 1_000_000, 1000
LEAST_STRIP = 32
"""Rows. The last strip of an image may be half as high, which is enough for every network's first layers."""


class Section:
    """A part of the config that can be frozen: from then on, setting a key is an error."""

    _frozen = False

    def freeze(self) -> None:
        """Freeze this section and those inside it."""
        object.__setattr__(self, "_frozen", True)
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            for each in value.values() if isinstance(value, dict) else (value,):
                if isinstance(each, Section):
                    each.freeze()

    def __setattr__(self, name: str, value: Any) -> None:
        if self._frozen:
            raise AttributeError(f"{name}: the config is frozen; a builder returns what it decides")
        object.__setattr__(self, name, value)


@dataclass
class Backbone(Section):
    name: str = key(MISSING, "the network; set by the group")
    weights: str | None = key(None, "a .pth or .safetensors file; null: the embedded or torchvision's official one")
    pooling: Pooling = key(Pooling.max, "max as trained, or avg (Gatys 2016)")
    padding: Padding = key(Padding.zeros, "beyond the border: zeros as VGG was trained, reflect or replicate")
    scale: BackboneScale = key(
        BackboneScale.unit, "unit: each layer has mean activation 1, so weights mean the same everywhere; or as_trained"
    )


@dataclass
class Generator(Section):
    name: str = key(MISSING, "johnson or cyclegan; set by the group")
    width: int = key(MISSING, "channels of the first layer", at_least=1, at_most=1024)
    blocks: int = key(MISSING, "residual blocks", at_least=0, at_most=100)


@dataclass
class Data(Section):
    """The images that a generator is trained on."""

    dir: str | None = key(None, "folder of images, at any depth; null: the bundled photographs")
    size: int = key(256, "side of a crop, pixels", at_least=16, at_most=4096)
    batch: int = key(4, "crops a step, over all processes", at_least=1, at_most=4096)
    crops: int = key(1, "crops of each image in an epoch", at_least=1, at_most=10_000)
    workers: int = key(2, "processes that read images ahead; 0: none", at_least=0, at_most=256)


@dataclass
class Judge(Section):
    name: str = key("auto", "auto: of squeezenet, vgg19, vgg16 and slim the first at hand that did not paint")
    weights: str | None = key(None, "its weights, a file; null: the embedded or torchvision's official one")


@dataclass
class Optimizer(Section):
    name: str = key(MISSING, "lbfgs or adam; set by the group")


@dataclass
class Lbfgs(Optimizer):
    name: str = "lbfgs"
    lr: float = key(1.0, "step length, in units of the quasi-Newton step", above=0, at_most=LARGEST)
    history_size: int = key(10, "past steps kept", at_least=1, at_most=1000)


@dataclass
class Adam(Optimizer):
    name: str = "adam"
    lr: float = key(0.02, "step size in pixel values, of [0, 1]", above=0, at_most=LARGEST)
    beta1: float = key(0.9, "decay of the mean of gradients", at_least=0, at_most=0.9999)
    beta2: float = key(0.99, "decay of the mean of squared gradients", at_least=0, at_most=0.9999)


OPTIMIZERS = {"lbfgs": Lbfgs, "adam": Adam}


@dataclass
class Trainer(Section):
    accelerator: Accelerator = key(Accelerator.auto, "auto takes a GPU if there is one; mps is Apple's")
    devices: int | None = key(
        1, "processes on each machine that train together; null: one a GPU; mode=train only", at_least=1, at_most=64
    )
    num_nodes: int = key(1, "machines that train together; mode=train only", at_least=1, at_most=1024)
    precision: Precision = key(
        Precision.float32,
        "of the networks, in modes that optimize: tf32 is faster on a GPU, bfloat16 there and on a CPU with AMX",
    )
    checkpoint_seconds: float = key(
        60.0, "seconds between checkpoints: the most that a killed run loses", above=0, at_most=1e6
    )


@dataclass
class Sweep(Section):
    fail_fast: bool = key(False, "leave out the jobs after the first one that fails")
    minutes: float | None = key(
        None, "start no job later than so many minutes after the sweep's start", above=0, at_most=1e6
    )
    dry_run: bool = key(False, "print the jobs with their estimated time and memory, and run none")


@dataclass
class Tracking(Section):
    name: str = key(MISSING, "wandb, tensorboard or none; set by the group")
    loss_every: int = key(10, "steps between two lines of losses.csv", at_least=1, at_most=MOST_STEPS)
    image_every: int = key(100, "steps between two progress pictures", at_least=1, at_most=MOST_STEPS)


@dataclass
class Config(Section):
    mode: str = key(MISSING, "what the run does; set by the group")
    content: str | None = key("chelsea", "content image: a path, or the name of a sample")
    style: Any = key("swirl", "style image: a path, or the name of a sample; or a folder; or a list of them")
    style_mix: Any = key(None, "shares of several styles, such as [0.7,0.3]; null: equal")
    mask: str | None = key(None, "image that is white where the style is to be")
    mask_outside: Outside = key(Outside.content, "what is outside of mask: the content as it is, or the style")
    regions: Any = key(
        None, "[{mask: FILE or rest, style: …, weight: 1}, …], or {from: FILE, red: STYLE, …, rest: STYLE}"
    )
    mask_feather: float = key(8.0, "width of the soft edge of a mask, pixels of the result", at_least=0, at_most=1000)
    mask_propagation: Propagation = key(
        Propagation.resample, "a layer's positions belong to a region by their place, or inside: by all that they see"
    )
    content_layers: list[str] = key([], "layers whose features are kept")
    style_layers: list[str] = key([], "layers whose style statistics are matched")
    style_layer_weights: Any = key(
        "positions", "weights of the style layers: a list, or positions (1/stride²: 256:64:16:4:1); null: equal"
    )
    content_weight: float = key(1.0, "factor of the content loss", at_least=0, at_most=LARGEST)
    style_weight: float = key(1e6, "factor of the style loss", at_least=0, at_most=LARGEST)
    tv_weight: float = key(5.0, "factor of the total variation, which removes pixel noise", at_least=0, at_most=LARGEST)
    structure_weight: float = key(
        0.0, "factor of differences of edges from the content's (Laplacian), such as 100", at_least=0, at_most=LARGEST
    )
    range_weight: float = key(
        10.0, "factor of the penalty that keeps pixels near [0, 1]; 0: only clamp them", at_least=0, at_most=LARGEST
    )
    content_loss: str = key("features", "how contents are compared: features, or self_similarity (STROTSS)")
    style_loss: dict[str, Any] = key({}, "how styles are compared; the group's file explains its keys")
    init: str = key(
        "content",
        "the image to start from: noise, gray, content, style, style_statistics (noise of its colors), or a path",
    )
    steps: int = key(100, "optimizer steps", at_least=1, at_most=MOST_STEPS)
    epochs: int | None = key(None, "passes over the training images, in place of steps", at_least=1, at_most=MOST_STEPS)
    size: int | None = key(384, "longest side of the result, pixels; null: the image's own", at_least=1, at_most=16384)
    scales: int | None = key(
        None,
        "number of sizes, from coarse to fine; more give larger strokes; null: as many as smallest_scale allows",
        at_least=1,
        at_most=16,
    )
    scale_factor: float = key(2.0, "growth from scale to scale: 2, or 1.41421356 for √2", at_least=1.1, at_most=4)
    smallest_scale: int = key(
        192, "longest side of the smallest size, pixels, if scales is null", at_least=1, at_most=16384
    )
    scale_steps: list[float] | None = key(
        None,
        "the scales' shares of the steps, from coarse to fine; further scales have the last one: [2,1] is 2:1:1 with "
        "three; null: equal",
    )
    average: float = key(
        0.0,
        "decay of an average of the pixels over the steps, which is then the result; 0: off",
        at_least=0,
        at_most=0.9999,
    )
    strip: int | None = key(
        None,
        "process the image in strips of this many rows, to save memory, with the same result; null: as the memory "
        "allows",
        at_least=LEAST_STRIP,
        at_most=16384,
    )
    style_size: int | None = key(
        None, "longest side of the style image, pixels; null: as style_scale says", at_least=1, at_most=16384
    )
    style_scale: float = key(
        1.0, "longest side of the style image, in units of the result's; larger: larger strokes", above=0, at_most=8
    )
    background: str = key("white", "color behind transparent images: a name or #rrggbb")
    seed: int = key(0, "seed of everything random", at_least=0, at_most=2**32 - 1)
    output: str | None = key(None, "a .png, .jpg or .webp file to which the picture is written, too")
    repeats: int = key(
        1, "a sweep runs each of its jobs with so many seeds, and reports means", at_least=1, at_most=MOST_REPEATS
    )
    sweep: Sweep = key(Sweep, "which jobs of a sweep are run")
    zip: Any = key(None, "keys whose values go together in a sweep, such as {content:[a,b],style:[c,d]}")
    question: str | None = key(None, "the question that an experiment asks; the report's title, if it has no other")
    title: str | None = key(None, "the title of the report")
    finding: str | None = key(None, "the answer to the question, for the report")
    labels: dict[str, str] = key({}, "what reports call keys and losses, such as {style_weight: style weight β}")
    captions: dict[str, str] = key({}, "texts below pictures in reports, such as {style_weight=1e6: balanced}")
    optimized_metric: Any = key(
        "total", "the number that a search minimizes: a loss, a judge's figure, or a sum such as {w2: 1, ssim: 2}"
    )
    resume: str | None = key(None, "folder of a run or sweep to continue, with its own config")
    rerun: str | None = key(None, "folder of a run, or a result.png alone, to make again from its own record")
    backbone: Backbone = key(Backbone, "the frozen network that computes features")
    optimizer: Optimizer = key(Optimizer, "how the loss is minimized")
    judge: Judge = key(Judge, "the network that says how good the picture is")
    generator: Generator | None = key(None, "the network that mode=train trains")
    data: Data | None = key(None, "the images that it is trained on")
    checkpoint: str | None = key(None, "a trained generator: its file, or its run's folder")
    colors: Colors = key(
        Colors.style,
        "whose colors the picture has: style; content (of mode=train only the pictures in its record); or matched, the "
        "style's moved to the content's",
    )
    color_match: ColorSpace = key(ColorSpace.rgb, "colors in which matched moves them: rgb or lab")
    tile: int = key(
        2048, "longest side processed at once, pixels; larger images are stylized in tiles", at_least=1, at_most=16384
    )
    trainer: Trainer = key(Trainer, "where and in which precision it runs")
    tracking: Tracking = key(Tracking, "logging to Weights & Biases or TensorBoard, and how often")
