"""A CUDA graph gives the results of the steps it replaces."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nst.optim.cuda_graph import CudaGraph
from tests.conftest import SMALL, Door


def test_without_a_gpu_the_function_is_called() -> None:
    x = torch.zeros(2)

    def step() -> Tensor:
        return x.add_(1)

    graph = CudaGraph(step, x.device)
    assert [float(graph()[0]) for _ in range(6)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_replayed_steps_equal_single_steps(optimizer: str, nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*SMALL, f"optimizer={optimizer}", "trainer=gpu", "steps=30", "size=128")
    replayed = nst(*arguments)
    assert replayed.status == 0, replayed.err
    monkeypatch.setattr("nst.optim.cuda_graph.WARM_UP", 1000)
    one_by_one = nst(*arguments)
    assert np.abs(replayed.pixels().astype(int) - one_by_one.pixels()).mean() < 2
