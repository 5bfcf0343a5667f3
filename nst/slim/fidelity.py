"""mode=fidelity: transfers by slim and by the network that it imitates, compared with each other."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.backbones import Backbone, NormalizedBackbone
from nst.engine.work import Outcome, Reporter
from nst.errors import Stopped
from nst.files import encode_csv
from nst.images.files import encode_png, load
from nst.losses.style import StyleLoss
from nst.losses.targets import Features, style_targets
from nst.losses.transfer import Layers
from nst.memory.strips import WHOLE
from nst.slim.measures import LinearProbe, fidelity, style_distances
from nst.slim.student import of_slim

SLIM, TEACHER = "slim", "vgg16"
RESULTS = "results"
"""Folder of the pictures, inside a run's folder."""


@dataclass(frozen=True)
class Pair:
    """A content image and a style image, and the name that their pictures begin with."""

    name: str
    content: Path
    style: Path


Paint = Callable[[Features, Layers, Tensor, Tensor], Tensor]
"""Network, its layers, content and style → the picture. Images are (1, 3, H, W) in [0, 1]."""


@dataclass(frozen=True)
class Measurement:
    """What mode=fidelity measures, and with what."""

    slim: Features
    teacher: Backbone
    layers: Mapping[str, Layers]
    """Of SLIM and of TEACHER. The teacher's style layers are those that compare the pictures."""
    loss: StyleLoss
    """That the pictures are made with, and compared with."""
    pairs: Sequence[Pair]
    """Each has a name of its own."""
    size: int | None
    """Longest side of the pictures in pixels; None: the content's own."""
    paint: Paint
    device: torch.device
    images: Mapping[str, Sequence[Tensor]] = field(default_factory=dict)
    """Kind of image (photographs, paintings, …) → images (1, 3, H, W) in [0, 1] on which the unexplained variance is
    measured, and under "fitted" those to which the linear maps are fitted. Empty: it is not measured."""
    painted: Path | None = None
    """Folder of pictures of an earlier run, whose teacher's pictures are used again."""
    resumed: Path | None = None
    """Folder of pictures of the run that this one resumes, all of which are used again."""

    @property
    def steps(self) -> int:
        """One for each pair, and one for the unexplained variance."""
        return len(self.pairs) + bool(self.images)


@dataclass
class _Measured:
    """All results so far, and the files that they are written to."""

    layers: Sequence[str]
    """The teacher's layers that are compared."""
    scores: list[dict[str, Any]] = field(default_factory=list)
    unexplained: list[dict[str, Any]] = field(default_factory=list)
    strips: list[bytes] = field(default_factory=list)

    def summary(self) -> list[dict[str, Any]]:
        """For each layer: median and least fidelity over the pairs that the teacher brings nearer to the style."""
        lines = []
        for layer in self.layers:
            shares = [each["fidelity"] for each in self.scores if each["layer"] == layer]
            shares = [share for share in shares if not math.isnan(share)]
            values = {"median": statistics.median(shares), "least": min(shares)} if shares else {}
            lines.append({"layer": layer} | values | {"pairs": len(shares)})
        return lines

    def metrics(self) -> dict[str, float]:
        """`fidelity/LAYER`: the median over the pairs so far."""
        return {f"fidelity/{line['layer']}": line["median"] for line in self.summary() if "median" in line}

    def files(self) -> dict[str, bytes]:
        """fidelity.csv and unexplained.csv with every measured value, tables.md with a summary, sheet.jpg."""
        from nst.report.publish import SHEET_LIMIT
        from nst.report.sheet import encode
        from nst.slim.pictures import stack

        tables = {"fidelity.csv": self.scores, "unexplained.csv": self.unexplained}
        files = {name: encode_csv(lines[0], lines) for name, lines in tables.items() if lines}
        summaries = [_markdown(lines) for lines in (self.summary(), self.unexplained) if lines]
        files["tables.md"] = "\n".join(summaries).encode()
        if self.strips:
            files["sheet.jpg"] = encode(stack(self.strips), SHEET_LIMIT)
        return files


def measure(measurement: Measurement, reporter: Reporter) -> Outcome:
    """For each pair let slim and its teacher paint it, and let the teacher compare the pictures with the style.

    Writes pictures into the run's folder as they are made: results/PAIR_WHO.png, and results/PAIR.jpg with all of a
    pair side by side. Pictures that are there already are used again, so a resumed run needs no checkpoint.
    Raises Stopped if the user asked to stop; the files are then written with the results so far.
    """
    began = time.perf_counter()
    reporter.start(0, 0.0, measurement.steps)
    measured = _Measured(measurement.layers[TEACHER].style)
    contents = [_load(measurement, pair.content) for pair in measurement.pairs]
    teacher = NormalizedBackbone(measurement.teacher, contents)
    networks: dict[str, Features] = {TEACHER: teacher, SLIM: as_large(measurement.slim, teacher, contents)}
    try:
        for done, pair in enumerate(measurement.pairs, start=1):
            pictures = _pictures(measurement, networks, pair, reporter)
            measured.scores += _scores(measurement, networks[TEACHER], pair.name, pictures)
            measured.strips.append(_add_strip(pair.name, pictures, reporter))
            reporter.step(done, measured.metrics(), time.perf_counter() - began)
        if measurement.images:
            measured.unexplained += _unexplained(measurement)
            reporter.step(measurement.steps, measured.metrics(), time.perf_counter() - began)
    except Stopped:
        for name, data in measured.files().items():
            reporter.add_file(name, data)
        raise
    return Outcome(measurement.steps, time.perf_counter() - began, files=measured.files())


def as_large(slim: Features, teacher: Features, images: Sequence[Tensor]) -> Features:
    """slim times one factor, with which its conv1_1 has the teacher's mean square over images (1, 3, H, W).

    Its layers are balanced as the teacher's are; so the weights of the losses mean the same in both.
    """
    squares = [
        sum(float(network(image)[layer].square().mean(1).sum()) for image in images)
        for network, layer in ((teacher, "relu1_1"), (slim, "conv1_1"))
    ]
    factor = (squares[0] / squares[1]) ** 0.5
    return lambda image: {layer: features * factor for layer, features in slim(image).items()}


def _load(measurement: Measurement, path: Path) -> Tensor:
    return load(path, measurement.size).to(measurement.device)


def _pictures(
    measurement: Measurement, networks: Mapping[str, Features], pair: Pair, reporter: Reporter
) -> dict[str, Tensor]:
    """A pair's images by name: content, style, and what the teacher and slim painted. All are written."""
    pictures = {"content": _load(measurement, pair.content), "style": _load(measurement, pair.style)}
    for who in ("content", "style", TEACHER, SLIM):
        file = f"{pair.name}_{who}.png"
        if who not in pictures:
            folders = [reporter.folder / RESULTS, measurement.resumed, None if who == SLIM else measurement.painted]
            found = next((folder / file for folder in folders if folder and (folder / file).is_file()), None)
            if found:
                pictures[who] = load(found).to(measurement.device)
            else:
                images = pictures["content"], pictures["style"]
                pictures[who] = as_saved(measurement.paint(networks[who], measurement.layers[who], *images))
        reporter.add_file(f"{RESULTS}/{file}", encode_png(pictures[who], {}))
    return pictures


def _scores(
    measurement: Measurement, teacher: Features, pair: str, pictures: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """For each of the teacher's layers: the distances from the style of content and both pictures; fidelity."""
    loss, layers = measurement.loss, measurement.layers[TEACHER].style
    style = style_targets(teacher, [(pictures["style"], WHOLE)], layers, loss)
    compared = {"content": "content", "teacher": TEACHER, "slim": SLIM}
    distances = {role: style_distances(teacher, pictures[who], style, loss) for role, who in compared.items()}
    scores = []
    for layer in layers:
        of_layer = {role: each[layer] for role, each in distances.items()}
        scores.append({"pair": pair, "layer": layer} | of_layer | {"fidelity": fidelity(**of_layer)})
    return scores


def _add_strip(pair: str, pictures: Mapping[str, Tensor], reporter: Reporter) -> bytes:
    """Write and return a JPEG of all pictures side by side."""
    from nst.report.sheet import encode  # imports matplotlib, which is slow and which no other mode needs
    from nst.slim.pictures import side_by_side

    data = encode(side_by_side(pictures))
    reporter.add_file(f"{RESULTS}/{pair}.jpg", data)
    return data


def _unexplained(measurement: Measurement) -> list[dict[str, Any]]:
    """For each of the teacher's layers: the share of its variance that slim's does not explain, by kind of image."""
    images = {kind: [image.to(measurement.device) for image in images] for kind, images in measurement.images.items()}
    layers = measurement.layers[TEACHER].style
    probe = LinearProbe(measurement.teacher, measurement.slim, layers, images.pop("fitted"))
    shares = {kind: probe.unexplained(each) for kind, each in images.items()}
    return [
        {"layer": layer, "slim_layer": of_slim(layer)} | {kind: each[layer] for kind, each in shares.items()}
        for layer in layers
    ]


def as_saved(picture: Tensor) -> Tensor:
    """A picture in [0, 1], rounded to 8 bits, as it is after saving it as a PNG and loading it."""
    return picture.mul(255).round() / 255


def _markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """A table in Markdown, with shares in percent."""
    from nst.report.table import markdown

    rows = [[f"{100 * each:.1f} %" if isinstance(each, float) else each for each in line.values()] for line in lines]
    return markdown(list(lines[0]), rows)
