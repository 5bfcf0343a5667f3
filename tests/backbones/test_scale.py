"""backbone.scale=unit: each layer has mean activation 1, and is otherwise what the network computes as trained."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from nst.backbones import NETWORKS, Backbone, NormalizedBackbone
from nst.backbones.networks import Architecture, Network
from nst.backbones.scale import mean_activations
from nst.errors import InputError
from nst.files import sha256
from nst.memory.estimate import step_memory
from tests.conftest import SHARED, SMALL, Door

IMAGES = [torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(size[0])) for size in ((60, 44), (48, 56))]
LAYERS = {
    "slim": ["conv1_1", "conv1_2", "conv3_2", "conv5_1"],
    "vgg19": ["relu1_1", "conv1_1", "pool1", "conv2_2", "relu3_1"],  # the first three share or follow a convolution
    "squeezenet": ["conv1", "relu1", "fire2", "pool4", "fire5"],
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """Network → a file of random weights; None for the embedded one."""
    torch.manual_seed(0)
    models = {"vgg19": torchvision.models.vgg19, "squeezenet": torchvision.models.squeezenet1_0}
    paths: dict[str, str | None] = {"slim": None}
    for name, model in models.items():
        with torch.device("meta"):
            shapes = model(weights=None).features[:12].state_dict()
        state = {f"features.{key}": torch.randn(value.shape) * 0.05 for key, value in shapes.items()}
        paths[name] = str(tmp_path_factory.mktemp("weights") / f"{name}.safetensors")
        save_file(state, str(paths[name]))
    return paths


def both(name: str, weights: str | None, **options: str) -> tuple[Backbone, Backbone]:
    """A backbone as trained, and at unit scale over IMAGES."""
    trained, unit = (Backbone(name, LAYERS[name], weights, **options) for _ in range(2))
    unit.to_unit_scale(mean_activations(unit, IMAGES))
    return trained, unit


@pytest.mark.parametrize("options", [{}, {"padding": "reflect"}, {"padding": "replicate", "pooling": "avg"}], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_is_divided_by_its_mean_activation(
    name: str, options: dict[str, str], weights: dict[str, str | None]
) -> None:
    trained, unit = both(name, weights[name], **options)
    assert unit.mean_activations == pytest.approx(mean_activations(trained, IMAGES), rel=1e-5)
    assert mean_activations(unit, IMAGES) == pytest.approx(dict.fromkeys(LAYERS[name], 1.0), rel=1e-5)
    assert not trained.mean_activations
    image = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(3))
    scaled = unit(image)
    for layer, features in trained(image).items():
        error = (scaled[layer] - features / unit.mean_activations[layer]).abs().max()
        assert error < 1e-5 * scaled[layer].abs().max()


@pytest.mark.parametrize(("name", "multiplied"), [("slim", set()), ("vgg19", {"relu1_1"}), ("squeezenet", {"relu1"})])
def test_only_a_layer_that_shares_its_convolution_is_multiplied(
    name: str, multiplied: set[str], weights: dict[str, str | None]
) -> None:
    trained, unit = both(name, weights[name])
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    scaled = {layer for layer, features in unit(image).items() if "Mul" in type(features.grad_fn).__name__}
    assert not any("Mul" in type(features.grad_fn).__name__ for features in trained(image).values())
    assert scaled == multiplied
    more = sum(unit(image)[layer].nbytes for layer in multiplied) / 32**2
    needs = [step_memory(backbone, 0, 32, torch.device("cpu")).strip for backbone in (trained, unit)]
    assert 0 <= needs[1] - needs[0] <= 2.5 * more + 1e-6  # the weights are still left out


def test_a_module_that_is_no_convolution_leaves_the_factor_to_the_layers_before_and_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def squashed() -> Network:
        with torch.device("meta"):
            modules = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Sigmoid(), nn.Conv2d(4, 5, 3), nn.ReLU())
            taps = nn.ModuleDict({"tapped": nn.Conv2d(5, 5, 1)})
        return Network(modules, {"conv1": 0, "sigmoid": 1, "conv2": 2, "relu2": 3, "tapped": 3}, taps)

    monkeypatch.setitem(NETWORKS, "squashed", Architecture(squashed))
    monkeypatch.setitem(LAYERS, "squashed", ["conv1", "sigmoid", "conv2", "relu2", "tapped"])
    network = squashed()
    state = {f"features.{key}": torch.randn(value.shape) for key, value in network.features.state_dict().items()}
    state |= {f"taps.{key}": torch.randn(value.shape) for key, value in network.taps.state_dict().items()}
    save_file(state, tmp_path / "squashed.safetensors")
    before = sha256(tmp_path / "squashed.safetensors")
    trained, unit = both("squashed", "squashed.safetensors")
    for layer, features in trained(IMAGES[0]).items():
        torch.testing.assert_close(unit(IMAGES[0])[layer], features / unit.mean_activations[layer])
    assert sha256(tmp_path / "squashed.safetensors") == before


def test_a_layer_without_a_scale_is_refused(weights: dict[str, str | None], tmp_path: Path) -> None:
    state = load_file(str(weights["vgg19"]))
    state |= {f"features.2.{name}": torch.zeros_like(state[f"features.2.{name}"]) for name in ("weight", "bias")}
    save_file(state, tmp_path / "flat.safetensors")
    backbone = Backbone("vgg19", ["conv1_1", "conv1_2"], "flat.safetensors")
    with pytest.raises(InputError, match=r"backbone\.scale=unit: conv1_2 has mean activation .*as_trained") as error:
        backbone.to_unit_scale(mean_activations(backbone, IMAGES))
    assert "\n" not in str(error.value)


def test_a_normalized_network_has_mean_activation_one_over_its_images(weights: dict[str, str | None]) -> None:
    trained, unit = both("vgg19", weights["vgg19"])
    normalized = NormalizedBackbone(trained, IMAGES)
    assert mean_activations(normalized, IMAGES) == pytest.approx(dict.fromkeys(LAYERS["vgg19"], 1.0), rel=1e-5)
    expected = unit(IMAGES[0])
    for layer, features in normalized(IMAGES[0]).items():
        torch.testing.assert_close(features, expected[layer], rtol=1e-4, atol=1e-5)


def start(nst: Door, *arguments: str) -> tuple[dict[str, float], dict[str, dict[str, object]]]:
    """The losses before the first step, and what the record says of the weights."""
    result = nst(*arguments, "steps=1", "scales=1", "tracking=none")
    assert result.status == 0, result.err
    return result.rows()[0], result.record["weights"]


def test_the_scale_of_the_weights_makes_no_difference_to_a_run(
    nst: Door, weights: dict[str, str | None], tmp_path: Path
) -> None:
    state = load_file(str(weights["vgg19"]))
    state = {
        name: value * (100 if name in ("features.0.weight", "features.0.bias") else 1) for name, value in state.items()
    }
    state |= {"features.2.bias": 100 * state["features.2.bias"], "features.5.bias": 100 * state["features.5.bias"]}
    save_file(state, tmp_path / "larger.safetensors")
    network = (*SMALL, "backbone=vgg19")
    losses, facts = start(nst, *network, f"backbone.weights={weights['vgg19']}")
    larger, larger_facts = start(nst, *network, "backbone.weights=larger.safetensors")
    assert larger["loss/style"] == pytest.approx(losses["loss/style"], rel=1e-3)
    means, larger_means = (each["vgg19"]["mean_activations"] for each in (facts, larger_facts))
    assert isinstance(means, dict)
    assert isinstance(larger_means, dict)
    assert list(means) == ["conv2_1", "conv1_1"]
    assert larger_means == pytest.approx({layer: 100 * mean for layer, mean in means.items()}, rel=1e-4)
    trained, trained_facts = start(nst, *network, f"backbone.weights={weights['vgg19']}", "backbone.scale=as_trained")
    assert "mean_activations" not in trained_facts["vgg19"]
    assert trained["loss/style"] != pytest.approx(losses["loss/style"], rel=0.1)


@pytest.mark.real_weights
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared with real weights")
@pytest.mark.parametrize(
    ("name", "file"), [("vgg16", "vgg16_features.safetensors"), ("vgg19", "vgg19_to_conv3_1.safetensors")]
)
def test_real_networks_start_at_the_total_that_slim_starts_at(name: str, file: str, nst: Door) -> None:
    layers = ("style_layers=[conv_1,conv_2,conv_3]", "content_layers=[conv_3]", "style_weight=1e6", "size=96")
    loss = ("style_loss=gram",)
    asked = (f"backbone={name}", f"backbone.weights={SHARED / 'weights' / file}", "backbone.padding=reflect")
    slim, real = start(nst, *layers, *loss)[0], start(nst, *layers, *loss, *asked)[0]
    assert 1 / 6 < real["loss/total"] / slim["loss/total"] < 6
