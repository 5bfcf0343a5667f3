"""The keys of mode=distill and mode=fidelity: type, default, unit, range and meaning."""

from dataclasses import dataclass

from omegaconf import MISSING

from nst.config import LARGEST, Section, key


@dataclass
class Teacher(Section):
    """VGG-16, which slim imitates."""

    weights: str | None = key(None, "weights file of VGG-16; null: torchvision's official weights")
    layers: list[str] = key([], "layers of VGG-16, relu1_1 …; slim's layer of the same number stands for each")


@dataclass
class Distill(Teacher):
    """How slim's weights are trained."""

    photos: str = key(
        MISSING,
        "folder of photographs; those smaller than a crop, or than 128 px, are left out, and one in 12 is held out",
    )
    paintings: str | None = key(
        None, "folder of paintings to train on, too, but for one in 12; null: photographs alone"
    )
    lr: float = key(1e-3, "learning rate of AdamW: rises over 200 steps, then falls linearly to 0", above=0, at_most=1)
    batch: int = key(6, "images per step", at_least=2, at_most=4096)
    crop: int = key(144, "height and width of a crop, pixels", at_least=64, at_most=4096)
    on_policy: float = key(
        0.5, "share of each batch that slim and VGG-16 painted; the rest are crops", at_least=0, at_most=0.9
    )
    guidance: float = key(
        1.0,
        "weight of the guidance error: how differently slim and VGG-16 lead to a style",
        at_least=0,
        at_most=LARGEST,
    )


@dataclass
class Fidelity(Teacher):
    """How slim is compared with the network that it imitates."""

    content: str = key("relu4_1", "layer of VGG-16 for the content loss")
    pairs: list[list[str]] = key([], "[content,style] of each transfer")
    photos: str | None = key(
        None,
        "folder of photographs, to measure also how much of VGG-16's variance slim leaves unexplained, on one in 12",
    )
    paintings: str | None = key(
        None, "folder of paintings to measure that variance on, too, on one in 12; null: the bundled ones"
    )
    painted: str | None = key(None, "folder of an earlier mode=fidelity run; VGG-16's pictures are used again")
