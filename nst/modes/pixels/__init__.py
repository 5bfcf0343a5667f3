"""Modes that optimize the pixels of one image: transfer, reconstruct and texture."""

from nst.modes import Mode

CONTENT = frozenset({"content", "content_layers", "content_weight", "content_loss"})
STYLE = frozenset(
    {
        *("style", "style_mix", "style_layers", "style_layer_weights", "style_weight"),
        *("style_size", "style_scale", "style_loss", "strokes"),
    }
)
CONTROL = frozenset(
    {
        *("mask", "mask_outside", "mask_feather", "mask_propagation", "regions"),
        *("colors", "color_match", "structure_weight"),
    }
)
IMAGE = frozenset(
    {
        *("layers", "tv_weight", "range_weight", "init", "steps", "size", "strip", "background"),
        *("scales", "scale_factor", "smallest_scale", "scale_steps"),
        *("backbone", "optimizer", "judge", "average", "output"),
    }
)
BUILD = "nst.modes.pixels.build:build"

MODES = [
    Mode(
        "transfer",
        "paint the content in the style (Gatys 2016)",
        BUILD,
        CONTENT | STYLE | CONTROL | IMAGE,
        roles={
            **{role: (role,) for role in ("content", "style", "init", "mask")},
            "regions": ("style", "mask"),
        },
        needed=("content", "style"),
        terms=("content", "style"),
    ),
    Mode(
        "reconstruct",
        "show what the content layers keep of the content (Mahendran & Vedaldi 2015)",
        BUILD,
        CONTENT | IMAGE | {"style"},  # init=style starts from a style
        roles={"content": ("content",), "init": ("init",), "style": ("style",)},
        needed=("content",),
        terms=("content",),
    ),
    Mode(
        "texture",
        "make an image with the style's statistics, from noise (Gatys 2015)",
        BUILD,
        STYLE | IMAGE | {"content"},  # init=content starts from a content
        roles={"style": ("style",), "init": ("init",), "content": ("content",)},
        needed=("style",),
        terms=("style",),
    ),
]
