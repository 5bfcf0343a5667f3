"""mode=stylize: a trained generator paints an image, or a folder of them, in one pass each."""

from nst.modes import Mode

MODES = [
    Mode(
        "stylize",
        "paint an image or a folder with a trained generator",
        "nst.modes.stylize.build:build",
        frozenset({"checkpoint", "content", "size", "colors", "tile", "background", "output", "judge"}),
        roles={"content": ("content",)},
        needed=("content",),
        optimizes=False,
    )
]
