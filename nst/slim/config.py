"""The keys of mode=distill and mode=fidelity: type, default, unit, range and meaning."""

from dataclasses import dataclass

from omegaconf import MISSING

from nst.config import Section, key


@dataclass
class Teacher(Section):
    """A real network that slim learns from."""

    weights: str | None = key(None, "weights file of the teacher; null: torchvision's official weights")
    layers: dict[str, str] = key({}, "layer of the teacher → layer of slim that learns it")
    pad: int = key(
        0, "pixels of reflection padding around each image, to align a network that pads less with slim", at_least=0
    )
    content: str | None = key(None, "layer of the teacher for the content loss; mode=fidelity only")
    every: int = key(1, "run the teacher on one in so many images of a batch; mode=distill only", at_least=1)


@dataclass
class Distill(Section):
    """How slim's weights are trained."""

    teachers: dict[str, Teacher] = key({}, "backbone → what slim learns from it")
    photos: str = key(MISSING, "folder of photographs, each at least 128 px in height and width")
    lr: float = key(7e-4, "learning rate of AdamW: rises over 200 steps, then falls linearly to 0", above=0)
    batch: int = key(8, "images per step", at_least=2)
    crop: int = key(112, "height and width of a crop, pixels", at_least=64)
    on_policy: float = key(
        0.5, "share of each batch that slim and its teachers painted; the rest are photographs", at_least=0, at_most=0.9
    )
    guidance: float = key(
        1.0, "weight of the guidance error: how differently slim and its teachers lead to a style", at_least=0
    )
    compile: bool = key(
        False, "compile the step: takes minutes at the start, then runs 1.5 times as fast; needs a C++ compiler"
    )


@dataclass
class Fidelity(Section):
    """How slim is compared with real networks."""

    teachers: dict[str, Teacher] = key({}, "backbone → its layers that compare slim's pictures with the styles")
    pairs: list[list[str]] = key([], "[content,style] of each transfer")
    photos: str | None = key(
        None, "folder of photographs, to measure also how much of the teachers' variance slim leaves unexplained"
    )
    paintings: str | None = key(None, "folder of paintings to measure that variance on, too; null: the bundled ones")
    painted: str | None = key(None, "folder of an earlier mode=fidelity run; its teachers' pictures are used again")
