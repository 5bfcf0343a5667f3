"""Measuring slim against the networks that it stands in for: one step is one pair of a content and a style."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nst.backbones import Unit
from nst.distillation import Teacher
from nst.fidelity import Reading, fidelity, gram_distances
from nst.files import encode_csv
from nst.imagefile import encode_png, load
from nst.objective import Features, style_targets
from nst.tasks.task import Lazily, Row, Task

Pair = tuple[str, Path, Path]
"""What a pair is called, its content and its style."""
Painter = Callable[[Features, Tensor, Tensor, Sequence[str], Sequence[str]], Tensor]
"""Network, content and style (1, 3, H, W), the layers that keep the content, those of the style → the picture."""


class Fidelity(Task):
    """For each pair a transfer by slim and one by each teacher, which then compares both with the style.

    content_layers, style_layers: of slim; keeps: teacher → its layer that keeps the content, and the style is of the
    layers it has pairs for. size: longest side in pixels. images: what (photographs, paintings, …) → images
    (1, 3, H, W) on which the share of the teachers' variance that slim does not explain is measured, after the pairs,
    with maps fitted to those of "fitted". painted: a folder of pictures, of which the teachers' are taken.
    """

    def __init__(
        self,
        teachers: Mapping[str, Teacher],
        keeps: Mapping[str, str],
        slim: Features,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        pairs: Sequence[Pair],
        size: int | None,
        paint: Painter,
        images: Mapping[str, Sequence[Tensor]],
        painted: Path | None = None,
    ) -> None:
        super().__init__(list(range(1, len(pairs) + bool(images) + 1)))
        self.teachers, self.keeps = dict(teachers), dict(keeps)
        self.slim, self.content_layers, self.style_layers = slim, content_layers, style_layers
        self.pairs, self.size, self._paint, self.images = list(pairs), size, paint, dict(images)
        self._painted = painted
        self.scores: list[dict[str, Any]] = []
        self.unexplained: list[dict[str, Any]] = []
        self._strips: dict[str, bytes] = {}
        self._fresh: dict[str, bytes] = {}

    def on_train_start(self) -> None:
        contents = [load(content, self.size) for _, content, _ in self.pairs]
        self._networks = {name: Unit(teacher.see, contents) for name, teacher in self.teachers.items()}
        self._slim = Unit(self.slim, contents)

    def train_dataloader(self) -> Iterable[int]:
        return Lazily(lambda: iter(self.stops[self.step :]))

    def training_step(self, stop: int, index: int) -> Row:
        began = time.perf_counter()
        row = {"step": self.step, "seconds": self.seconds}
        if self.step < len(self.pairs):
            self._compare(*self.pairs[self.step])
        else:
            self._explain()
        self.step = stop
        self.seconds += time.perf_counter() - began
        return row | self.figures()

    def _compare(self, name: str, content_path: Path, style_path: Path) -> None:
        content, style = (load(path, self.size).to(self.device) for path in (content_path, style_path))
        by_slim = as_saved(self._paint(self._slim, content, style, self.content_layers, self.style_layers))
        pictures = {"content": content, "style": style}
        for of, teacher in self.teachers.items():
            network = self._networks[of]
            before = self._painted / f"{name}_{of}.png" if self._painted else None
            if before and before.exists():
                pictures[of] = load(before).to(self.device)
            else:
                pictures[of] = as_saved(self._paint(network, content, style, [self.keeps[of]], list(teacher.pairs)))
            wanted = style_targets(network, style, teacher.pairs)
            compared = {"content": content, "teacher": pictures[of], "slim": by_slim}
            distances = {who: gram_distances(network, picture, wanted) for who, picture in compared.items()}
            for layer in teacher.pairs:
                of_layer = {who: each[layer] for who, each in distances.items()}
                facts = {"pair": name, "network": of, "layer": layer}
                self.scores.append(facts | of_layer | {"fidelity": fidelity(**of_layer)})
        from nst.report.sheet import encode, strip  # matplotlib is slow to import, and no other run needs it

        pictures["slim"] = by_slim
        self._fresh |= {f"results/{name}_{what}.png": encode_png(each, {}) for what, each in pictures.items()}
        self._strips[name] = self._fresh[f"results/{name}.jpg"] = encode(strip(pictures))

    def _explain(self) -> None:
        for of, teacher in self.teachers.items():
            reading = Reading(teacher, self.slim, self.images["fitted"])
            measured = {what: reading.unexplained(those) for what, those in self.images.items() if what != "fitted"}
            for layer, slims in teacher.pairs.items():
                shares = {what: each[layer] for what, each in measured.items()}
                self.unexplained.append({"network": of, "layer": layer, "slim_layer": slims} | shares)

    def _summary(self) -> list[dict[str, Any]]:
        """A line for each teacher's layer: median and least fidelity over the pairs so far."""
        lines = []
        for of, teacher in self.teachers.items():
            for layer in teacher.pairs:
                reached = [each["fidelity"] for each in self.scores if (each["network"], each["layer"]) == (of, layer)]
                figures = {"median": statistics.median(reached), "least": min(reached)} if reached else {}
                lines.append({"network": of, "layer": layer} | figures)
        return lines

    def figures(self) -> dict[str, float]:
        return {
            f"fidelity/{line['network']}_{line['layer']}": line["median"]
            for line in self._summary()
            if "median" in line
        }

    def made(self) -> dict[str, bytes]:
        fresh, self._fresh = self._fresh, {}
        return fresh

    def files(self) -> dict[str, bytes]:
        """fidelity.csv and unexplained.csv with all that was measured, tables.md with what it comes to, sheet.jpg."""
        from nst.report.publish import SHEET_LIMIT
        from nst.report.sheet import encode, stack

        tables = {"fidelity.csv": self.scores, "unexplained.csv": self.unexplained}
        told = [_told(lines) for lines in (self._summary(), self.unexplained) if lines]
        files = {name: encode_csv(lines[0], lines) for name, lines in tables.items() if lines} | {
            "tables.md": "\n".join(told).encode()
        }
        if self._strips:
            files["sheet.jpg"] = encode(stack(self._strips.values()), SHEET_LIMIT)
        return files

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint |= {"state_dict": {}, "scores": self.scores, "unexplained": self.unexplained}
        checkpoint["strips"] = {
            name: torch.tensor(list(strip), dtype=torch.uint8) for name, strip in self._strips.items()
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.scores, self.unexplained = checkpoint["scores"], checkpoint["unexplained"]
        self._strips = {name: bytes(strip.tolist()) for name, strip in checkpoint["strips"].items()}


def as_saved(picture: Tensor) -> Tensor:
    """An image in [0, 1] as it is read again from a PNG file."""
    return picture.mul(255).round() / 255


def _told(lines: Sequence[Mapping[str, Any]]) -> str:
    """A table in Markdown, shares in per cent."""
    from nst.report.runs import markdown

    rows = [[f"{100 * each:.1f} %" if isinstance(each, float) else each for each in line.values()] for line in lines]
    return markdown(list(lines[0]), rows)
