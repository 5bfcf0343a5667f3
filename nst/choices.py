"""The words among which a key of the config can choose."""

from enum import Enum

REST = "rest"
"""As the mask of a region: what the other regions leave."""


class Pooling(Enum):
    """How the backbone halves its feature maps."""

    max = "max"
    avg = "avg"


class Padding(Enum):
    """What the backbone's convolutions see beyond the image's border."""

    zeros = "zeros"
    reflect = "reflect"
    replicate = "replicate"


class BackboneScale(Enum):
    """The scale of the backbone's features.

    unit: each layer is divided by its mean activation over photographs (Gatys 2016), so that loss weights mean the
    same for every backbone.
    """

    unit = "unit"
    as_trained = "as_trained"


class Colors(Enum):
    """Whose colors a picture has.

    content: brightness is painted, and hues are the content's. matched: the style's colors are moved to the content's
    before it is painted; mode=stylize cannot do that.
    """

    style = "style"
    content = "content"
    matched = "matched"


class ColorSpace(Enum):
    """In which colors are matched."""

    rgb = "rgb"
    lab = "lab"


class Outside(Enum):
    """What is outside a mask: the content as it is, or the style, by itself."""

    content = "content"
    style = "style"


class Propagation(Enum):
    """Which positions of a layer belong to a region: by their place, or by all of their receptive field."""

    resample = "resample"
    inside = "inside"


class Precision(Enum):
    """Number format of the networks. Style statistics and optimizers stay in float32.

    tf32: float32 storage, but a GPU's convolutions use only ten bits of the fraction.
    """

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


class Accelerator(Enum):
    """The device that a run computes on."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"
    mps = "mps"
