"""The contact sheet: all pictures with their labels in one image, to be put into a document."""

import io
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from math import ceil, sqrt
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from nst.imagefile import encode_png
from nst.report.runs import Run, Section, Sweep

WIDTH = 1600
"""Pixels a sheet is wide at most: 800 in a document, on a sharp screen."""
SIDES = (96, 400)
"""Pixels a picture's longest side may be scaled down to, and has at most."""
IN_A_ROW = 12
"""Pictures side by side at most, where they make no table."""
GAP, TEXT, LINE = 12, 22, 28
"""Pixels between pictures, of the letters and between lines of text."""
FONT = ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)
LARGEST = 65_000
"""Pixels of a JPEG's side at most."""
INK, ALERT, PAPER = "#1a1a1a", "#b00020", "#ffffff"

Tile = tuple[str, Image.Image | None]
"""A label and the picture that it stands above; a label without a picture stands in its place."""


def draw(sweep: Sweep) -> Image.Image:
    """The sheet: originals that all runs share, then the grid, or the runs one after the other where there is none."""
    return _grid(sweep) if sweep.sections else _flow(sweep)


def strip(pictures: Mapping[str, Tensor]) -> Image.Image:
    """Images (1, 3, H, W) in [0, 1] side by side, each under its name, in their full size."""
    opened = {name: Image.open(io.BytesIO(encode_png(picture, {}))) for name, picture in pictures.items()}
    return _block([list(opened.items())], max(picture.width for picture in opened.values()))


def stack(strips: Iterable[bytes]) -> Image.Image:
    """Encoded images, one under the other."""
    return _stacked([Image.open(io.BytesIO(each)) for each in strips])


def encode(sheet: Image.Image, limit: int | None = None) -> bytes:
    """A sheet as a JPEG of quality 88; less, and then smaller, if `limit` bytes would not hold it."""
    quality = 88
    sheet.thumbnail((LARGEST, LARGEST))
    while True:
        buffer = io.BytesIO()
        sheet.save(buffer, format="JPEG", quality=quality, optimize=True)
        if limit is None or buffer.tell() <= limit:
            return buffer.getvalue()
        if quality > 70:
            quality -= 6
        else:
            sheet = sheet.resize((sheet.width * 9 // 10, sheet.height * 9 // 10), Image.Resampling.LANCZOS)


def _grid(sweep: Sweep) -> Image.Image:
    columns, head = len(sweep.sections[0].columns), _corner(sweep).width
    side = _side(columns + 1)
    if head > side:  # of a picture, the first column's width without one
        side = _side(columns, WIDTH - GAP - head)
    originals = _originals(sweep, side)
    blocks = [_block([originals], side)] if originals else []
    for section in sweep.sections:
        blocks += [*_heading(section.title), _block(_table(sweep, section, side), side)]
    return _stacked(blocks)


def _flow(sweep: Sweep) -> Image.Image:
    places = len(sweep.shared_originals) + len(sweep.runs)
    at_most = min(ceil(sqrt(2 * places)), IN_A_ROW)  # about twice as wide as high
    across = ceil(places / ceil(places / at_most))
    side = _side(across)
    several = len(sweep.keys) > 1  # then their names stand above all, once
    tiles = _originals(sweep, side)
    for run in sweep.runs:
        label = ", ".join(sweep.value(run, key) for key in sweep.keys) if several else sweep.label(run)
        tiles.append((label, _result(run, side, sweep.own_originals(run).values())))
    rows = [tiles[start : start + across] for start in range(0, len(tiles), across)]
    return _stacked([*_heading(", ".join(sweep.keys) if several else ""), _block(rows, side)])


def _side(across: int, width: int = WIDTH) -> int:
    """Pixels of a picture's longest side if so many stand side by side."""
    return max(SIDES[0], min((width - GAP) // across - GAP, SIDES[1]))


def _heading(text: str) -> list[Image.Image]:
    return [_block([[("", _text(text, WIDTH - 2 * GAP))]], WIDTH)] if text else []


def _originals(sweep: Sweep, side: int) -> list[Tile]:
    originals = sweep.shared_originals.items()
    return [(sweep.original_label(role), _scaled(path, side)) for role, path in originals]


def _table(sweep: Sweep, section: Section, side: int) -> list[list[Tile]]:
    row_key, column_key = sweep.keys[-2:]

    def head(key: str, value: str) -> Tile:
        originals = [_scaled(path, side) for path in sweep.originals_of(key, value)]
        return value, _beside(originals) if originals else None

    rows: list[list[Tile]] = [[("", _corner(sweep)), *(head(column_key, value) for value in section.columns)]]
    for value, cells in zip(section.rows, section.cells, strict=True):
        rows.append([head(row_key, value), *(("", _result(cell[-1], side) if cell else None) for cell in cells)])
    return rows


def _corner(sweep: Sweep) -> Image.Image:
    return _stacked([_text(f"{key} {arrow}", WIDTH) for key, arrow in zip(sweep.keys[-2:], "↓→", strict=True)])


def _result(run: Run, side: int, originals: Iterable[Path] = ()) -> Image.Image:
    """The picture of a run, what is wrong with it, and below it originals, smaller."""
    picture = run.picture()
    parts = [_scaled(picture, side)] if picture else []
    if run.status != "finished":
        parts.append(_text(run.status, side, ALERT))
    elif not parts:  # a folder was painted
        parts.append(_text("no picture", side))
    small = [_scaled(path, (side - GAP) // 3) for path in originals]
    return _stacked([*parts, *([_beside(small)] if small else [])], GAP // 2)


def _block(rows: list[list[Tile]], side: int) -> Image.Image:
    """Tiles in rows and columns, each as high and as wide as it needs."""
    lines: list[list[Image.Image | None]] = []
    for row in rows:
        texts = [_text(label, side) if label else None for label, _ in row]
        pictures = [picture for _, picture in row]
        lines.append([text if picture else None for text, picture in zip(texts, pictures, strict=True)])
        lines.append([picture or text for text, picture in zip(texts, pictures, strict=True)])
    widths = [max((each.width for each in column if each), default=0) for column in zip_longest(*lines)]
    heights = [max((each.height for each in line if each), default=0) for line in lines]
    size = GAP + sum(width + GAP for width in widths), GAP + sum(heights) + GAP * len(rows)
    block = Image.new("RGB", size, PAPER)
    top = GAP
    for index, (line, height) in enumerate(zip(lines, heights, strict=True)):
        left = GAP
        is_label = index % 2 == 0
        for each, width in zip(line, widths, strict=False):
            if each:
                # a label stands on its picture
                block.paste(each, (left, top + height - each.height if is_label else top))
            left += width + GAP
        top += height if is_label else height + GAP
    return block


def _stacked(parts: list[Image.Image], gap: int = 0) -> Image.Image:
    height = sum(part.height for part in parts) + gap * (len(parts) - 1)
    stack = Image.new("RGB", (max(part.width for part in parts), height), PAPER)
    top = 0
    for part in parts:
        stack.paste(part, (0, top))
        top += part.height + gap
    return stack


def _beside(parts: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(part.width + GAP // 2 for part in parts), max(part.height for part in parts)), PAPER)
    left = 0
    for part in parts:
        row.paste(part, (left, 0))
        left += part.width + GAP // 2
    return row


def _scaled(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _text(text: str, width: int, ink: str = INK) -> Image.Image:
    """Text on lines no wider than `width` pixels; a word that is wider loses its middle."""
    lines = [""]
    for whole in text.split(" "):
        word, left = whole, len(whole)
        while FONT.getlength(word) > width:
            left -= 1
            word = f"{whole[: left - left // 2]}…{whole[len(whole) - left // 2 :]}"
        longer = f"{lines[-1]} {word}".strip()
        if FONT.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    image = Image.new("RGB", (ceil(max(map(FONT.getlength, lines))), LINE * len(lines)), PAPER)
    pen = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        pen.text((0, LINE * index), line, ink, FONT)
    return image
