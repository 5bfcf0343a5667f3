"""The contact sheet: all pictures with their labels in one image, for a document."""

import io
from collections.abc import Iterable
from itertools import zip_longest
from math import ceil, sqrt
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from nst.images.written import read_written
from nst.report.grid import Section
from nst.report.records import Original, Run
from nst.report.sweep import Sweep

WIDTH = 1600
"""Largest width of a sheet in pixels: 800 in a document on a screen with two pixels a point."""
SIDES = (96, 400)
"""Smallest and largest longest side of a picture, in pixels."""
IN_A_ROW = 12
"""Most pictures side by side if they make no grid."""
GAP, TEXT, LINE = 12, 22, 28
"""Pixels between pictures, height of the font, and height of a line of text."""
FONT = ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", TEXT)
LARGEST = 65_000
"""Most pixels a side that a JPEG can hold."""
LONGEST = 1000
"""Most characters of a label."""
INK, ALERT, PAPER = "#1a1a1a", "#b00020", "#ffffff"

Tile = tuple[str, Image.Image | None]
"""A label and the picture below it. Without a picture the label takes its place."""


def draw(sweep: Sweep) -> Image.Image:
    """The sheet: the originals that all runs share, then the grid; or, without a grid, the runs one after the other."""
    return _grid(sweep) if sweep.sections else _flow(sweep)


def encode(sheet: Image.Image, limit: int | None = None) -> bytes:
    """A sheet as a JPEG of quality 88.

    limit: most bytes. To keep it, first the quality is reduced, to 70, and then the size.
    """
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
    if head > side:  # the corner is wider than a picture, and with it the first column
        side = _side(columns, WIDTH - GAP - head)
    blocks = _originals(sweep.shared_originals, side)
    for section in sweep.sections:
        blocks += [*_heading(section.title), *_originals(section.originals, side)]
        blocks.append(block(_table(sweep, section, side), side))
    return stacked(blocks)


def _flow(sweep: Sweep) -> Image.Image:
    places = len(sweep.shared_originals) + len(sweep.shown)
    at_most = min(ceil(sqrt(2 * places)), IN_A_ROW)  # a sheet about twice as wide as high
    across = ceil(places / ceil(places / at_most))
    side = _side(across)
    several = len(sweep.keys) > 1  # then a heading names the keys, and labels show only the values
    tiles = [_original(original, side) for original in sweep.shared_originals]
    for run in sweep.shown:
        label = ", ".join(sweep.value(run, key) for key in sweep.keys) if several else sweep.label(run)
        tiles.append((label, _result(run, side, sweep.own_originals(run))))
    rows = [tiles[start : start + across] for start in range(0, len(tiles), across)]
    return stacked([*_heading(", ".join(sweep.keys) if several else ""), block(rows, side)])


def _side(across: int, width: int = WIDTH) -> int:
    """Longest side of a picture, in pixels, if `across` of them are side by side."""
    return max(SIDES[0], min((width - GAP) // across - GAP, SIDES[1]))


def _heading(text: str) -> list[Image.Image]:
    return [block([[("", _text(text, WIDTH - 2 * GAP))]], WIDTH)] if text else []


def _originals(originals: Iterable[Original], side: int) -> list[Image.Image]:
    """A row of originals, as one block; none for none."""
    tiles = [_original(original, side) for original in originals]
    return [block([tiles], side)] if tiles else []


def _original(original: Original, side: int) -> Tile:
    return original.label, read_written(original.path, side)


def _table(sweep: Sweep, section: Section, side: int) -> list[list[Tile]]:
    row_key, column_key = sweep.keys[-2:]

    def head(key: str, value: str) -> Tile:
        originals = sweep.originals_of(key, value)
        small = 2 * side // max(2, len(originals))  # of many, each is smaller: the results are what is looked at
        return value, _beside([read_written(each.path, small) for each in originals]) if originals else None

    rows: list[list[Tile]] = [[("", _corner(sweep)), *(head(column_key, value) for value in section.columns)]]
    for value, cells in zip(section.rows, section.cells, strict=True):
        rows.append([head(row_key, value), *(("", _result(cell[-1], side) if cell else None) for cell in cells)])
    return rows


def _corner(sweep: Sweep) -> Image.Image:
    return stacked([_text(f"{key} {arrow}", WIDTH) for key, arrow in zip(sweep.keys[-2:], "↓→", strict=True)])


def _result(run: Run, side: int, originals: Iterable[Original] = ()) -> Image.Image:
    """The picture of a run; below it its status, if it did not finish, and originals in a smaller size."""
    picture = run.picture
    parts = [read_written(picture, side)] if picture else []
    if run.status != "finished":
        parts.append(_text(run.status, side, ALERT))
    elif not parts:  # the run stylized a folder
        parts.append(_text("no picture", side))
    small = [read_written(original.path, (side - GAP) // 3) for original in originals]
    return stacked([*parts, *([_beside(small)] if small else [])], GAP // 2)


def block(rows: list[list[Tile]], side: int) -> Image.Image:
    """Tiles in rows and columns; each row is as high, and each column as wide, as its tiles need.

    side: largest width of a label, in pixels.
    """
    lines: list[list[Image.Image | None]] = []
    for row in rows:
        texts = [_text(label, side) if label else None for label, _ in row]
        pictures = [picture for _, picture in row]
        lines.append([text if picture else None for text, picture in zip(texts, pictures, strict=True)])
        lines.append([picture or text for text, picture in zip(texts, pictures, strict=True)])
    widths = [max((each.width for each in column if each), default=0) for column in zip_longest(*lines)]
    heights = [max((each.height for each in line if each), default=0) for line in lines]
    size = GAP + sum(width + GAP for width in widths), GAP + sum(heights) + GAP * len(rows)
    image = Image.new("RGB", size, PAPER)
    top = GAP
    for index, (line, height) in enumerate(zip(lines, heights, strict=True)):
        left = GAP
        is_label = index % 2 == 0
        for each, width in zip(line, widths, strict=False):
            if each:
                # a label is directly above its picture
                image.paste(each, (left, top + height - each.height if is_label else top))
            left += width + GAP
        top += height if is_label else height + GAP
    return image


def stacked(parts: list[Image.Image], gap: int = 0) -> Image.Image:
    """Images one below the other, `gap` pixels apart."""
    height = sum(part.height for part in parts) + gap * (len(parts) - 1)
    image = Image.new("RGB", (max(part.width for part in parts), height), PAPER)
    top = 0
    for part in parts:
        image.paste(part, (0, top))
        top += part.height + gap
    return image


def _beside(parts: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(part.width + GAP // 2 for part in parts), max(part.height for part in parts)), PAPER)
    left = 0
    for part in parts:
        row.paste(part, (left, 0))
        left += part.width + GAP // 2
    return row


def _text(text: str, width: int, ink: str = INK) -> Image.Image:
    """Text in lines of at most `width` pixels. A word that is longer loses its middle."""
    lines = [""]
    shown = "".join(letter if letter.isprintable() else "�" for letter in text[:LONGEST])  # the font knows no others
    for whole in shown.split(" "):
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
