"""The pieces of distillation, of which `nst.tasks.distill` is the loop."""

from nst.distillation.errors import guidance_error, mean_square
from nst.distillation.paintings import Paintings
from nst.distillation.start import Moments, pick_channels, reconstruction, start_from
from nst.distillation.student import Student, Tapped, fold_heads, tap
from nst.distillation.teacher import Teacher, line_up

__all__ = [
    "Moments",
    "Paintings",
    "Student",
    "Tapped",
    "Teacher",
    "fold_heads",
    "guidance_error",
    "line_up",
    "mean_square",
    "pick_channels",
    "reconstruction",
    "start_from",
    "tap",
]
