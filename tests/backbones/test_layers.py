"""Layer names follow from the networks' modules, and every alias has one meaning."""

import pytest

from nst.backbones import NETWORKS
from nst.backbones.layers import resolve
from nst.errors import InputError


def names(network: str) -> list[str]:
    return list(NETWORKS[network].build().reads)


def test_vgg19_has_sixteen_convolutions_in_five_blocks() -> None:
    layers = names("vgg19")
    assert [layer for layer in layers if layer.startswith("conv4")] == ["conv4_1", "conv4_2", "conv4_3", "conv4_4"]
    assert sum(layer.startswith("conv") for layer in layers) == 16
    assert layers[:3] == ["conv1_1", "relu1_1", "conv1_2"]
    assert layers[-1] == "pool5"


def test_vgg16_and_squeezenet_and_slim() -> None:
    assert sum(layer.startswith("conv") for layer in names("vgg16")) == 13
    assert [layer for layer in names("squeezenet") if layer[:4] in ("conv", "fire")] == [
        "conv1",
        *(f"fire{index}" for index in range(2, 10)),
    ]
    convolutions = [layer for layer in names("vgg16") if layer.startswith("conv")]
    assert names("slim") == convolutions[: convolutions.index("conv5_1") + 1]


def test_aliases_are_the_first_convolutions_of_the_blocks() -> None:
    aliases = [f"conv_{index}" for index in range(1, 6)]
    assert resolve(aliases, names("vgg19"), "vgg19") == [f"conv{index}_1" for index in range(1, 6)]


def test_an_alias_and_its_layer_are_the_same() -> None:
    assert resolve(["conv_2", "conv2_1", "conv1_2"], names("vgg19"), "vgg19") == ["conv2_1", "conv1_2"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv_6", ["conv6_1", "conv number 6"]),
        ("relu_3", ["relu3_1", "relu number 3"]),
        ("conv31", ["did you mean 'conv3_1'"]),
        ("fire4", ["the layers of vgg19 are conv1_1"]),
    ],
)
def test_unknown_names_are_refused_with_what_would_be_right(name: str, expected: list[str]) -> None:
    with pytest.raises(InputError) as error:
        resolve([name], names("vgg19"), "vgg19")
    assert all(part in str(error.value) for part in expected)


def test_squeezenet_refuses_vgg_names_with_its_own_list() -> None:
    with pytest.raises(InputError, match=r"fire2, fire3.*layers=squeezenet"):
        resolve(["conv_4"], names("squeezenet"), "squeezenet")
