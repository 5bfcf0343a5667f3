"""Plans of strips: as few as fit into the free memory."""

import torch

from nst.backbones import Backbone
from nst.memory.estimate import LEAST_ROWS, fewest_strips, plan_strips, step_memory

BACKBONE = Backbone("slim", ["conv1_1", "conv3_1"])


def test_the_fewest_strips_that_fit_are_planned() -> None:
    memory = step_memory(BACKBONE, 20, 64, torch.device("cpu"))
    fields = BACKBONE.receptive_fields
    whole = plan_strips(memory, fields, 1000, 800, None)
    assert (whole.rows, whole.strips) == (None, 1)
    assert fewest_strips(memory, fields, 1000, 800, whole.bytes) == whole
    two = fewest_strips(memory, fields, 1000, 800, 0.9 * whole.bytes)
    assert two.strips == 2
    assert two.bytes <= 0.9 * whole.bytes
    assert two == plan_strips(memory, fields, 1000, 800, two.rows)
    assert fewest_strips(memory, fields, 1000, 800, 0).rows == LEAST_ROWS


def test_memory_grows_with_the_layers_and_with_the_history() -> None:
    shallow = step_memory(Backbone("slim", ["conv1_1"]), 0, 64, torch.device("cpu"))
    deep = step_memory(BACKBONE, 20, 64, torch.device("cpu"))
    assert deep.strip > shallow.strip > 0
    assert deep.image - shallow.image == 20 * 12  # float32 RGB
    kept = deep.keeping(["conv1_1", "conv3_1"], copies=2)
    assert kept.image - deep.image == 2 * (16 * 4 + 96 * 4 / 16)  # conv3_1 has a position for every 4×4 pixels
