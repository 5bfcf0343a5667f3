"""mode=export: a trained generator as files for other programs."""

from nst.modes import Mode

MODES = [
    Mode(
        "export",
        "write a trained generator as .onnx and .safetensors",
        "nst.modes.export.build:build",
        frozenset({"checkpoint"}),
        optimizes=False,
    )
]
