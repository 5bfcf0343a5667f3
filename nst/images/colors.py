"""Keep the colors of the content."""

from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""The luma coefficients of red, green and blue (ITU-R BT.601)."""


def with_colors_of(painted: Tensor, content: Tensor) -> Tensor:
    """The luma of `painted` with the chroma of `content`; all images are (B, 3, H, W), RGB in [0, 1].

    Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", section 3.
    """
    luma = content.new_tensor(LUMA)[:, None, None]
    return (content + (luma * (painted - content)).sum(1, keepdim=True)).clamp(0, 1)
