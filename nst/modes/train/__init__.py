"""mode=train: a generator learns one style (Johnson et al. 2016)."""

from nst.modes import Mode

MODES = [
    Mode(
        "train",
        "train a generator in one style (Johnson 2016)",
        "nst.modes.train.build:build",
        frozenset(
            {
                *("style", "style_mix", "style_layers", "style_layer_weights", "style_weight", "style_loss"),
                *("style_size", "style_scale", "colors", "color_match"),
                *("content_layers", "content_loss", "content_weight", "layers", "tv_weight"),
                *("generator", "data", "steps", "epochs", "background", "backbone", "optimizer"),
            }
        ),
        roles={"style": ("style",)},
        needed=("style",),
        terms=("content", "style"),
        several_processes=True,
    )
]
