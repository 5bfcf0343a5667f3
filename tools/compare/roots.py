"""The root of a matrix by Newton-Schulz iterations, as the peer's recipe takes it."""

from typing import Any

import torch
from torch import Tensor

ITERATIONS = 12


def newton_schulz_root(matrix: Tensor) -> Tensor:
    """The root (C, C) of a symmetric positive definite matrix (C, C).

    Lin & Maji 2017, "Improved Bilinear Pooling with CNNs", section 3: coupled Newton-Schulz iterations, and a gradient
    from iterations for the Lyapunov equation. Eigenvalues below about 1e-5 of the matrix's norm do not converge.
    """
    root: Tensor = _Root.apply(matrix)
    return root


class _Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        norm = matrix.norm()
        root, inverse, eye = matrix / norm, torch.eye(len(matrix)).to(matrix), torch.eye(len(matrix)).to(matrix)
        for _ in range(ITERATIONS):
            factor = 1.5 * eye - 0.5 * (inverse @ root)
            root, inverse = root @ factor, factor @ inverse
        root = root * norm.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """X in root·X + X·root = slope: half of the upper right block of sign([[root, slope], [0, -root]])."""
        (root,) = ctx.saved_tensors
        norm = root.norm()
        left, corner, eye = root / norm, slope / norm, torch.eye(len(root)).to(root)
        for _ in range(ITERATIONS):
            factor = 1.5 * eye - 0.5 * (left @ left)
            corner = corner @ factor - 0.5 * (left @ (left @ corner - corner @ left))
            left = left @ factor
        return corner / 2
