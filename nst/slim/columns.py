"""Least squares over more columns than fit in memory."""

import torch
from torch import Tensor


class Columns:
    """Mean and covariance of columns that are added in batches."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, torch.zeros(()), torch.zeros(())

    def add(self, columns: Tensor) -> None:
        """Add N columns of C values, (C, N)."""
        self.count += columns.shape[1]
        self.total = self.total + columns.sum(1)
        self.products = self.products + columns @ columns.T

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean (C) and covariance (C, C) of all columns so far."""
        mean = self.total / self.count
        return mean, self.products / self.count - torch.outer(mean, mean)

    def least_squares(self, count: int) -> tuple[Tensor, Tensor]:
        """The linear map from the first `count` rows that predicts the other rows best.

        Returns weight (C - count, count) and bias (C - count).
        """
        mean, covariance = self.result()
        given = covariance[:count, :count]
        ridge = 1e-9 * given.diagonal().mean() * torch.eye(count, dtype=given.dtype)
        weight = torch.linalg.solve(given + ridge, covariance[:count, count:]).T
        return weight, mean[count:] - weight @ mean[:count]
