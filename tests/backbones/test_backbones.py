"""Backbones: layers are read where their names say, the network is frozen, and wrong weights are refused."""

from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nst.backbones import NETWORKS, Backbone
from nst.backbones.networks import Architecture, Network, architecture
from nst.backbones.weights import find
from nst.errors import InputError
from nst.files import sha256
from nst.images import samples
from nst.images.files import load
from tests.conftest import ROOT, SHARED

IMAGE = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vgg_state() -> dict[str, Tensor]:
    """The state dict of a VGG-19 with random weights that ends at conv2_1."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = torchvision.models.vgg19().features[:6]
    return {f"features.{name}": torch.randn(tensor.shape) * 0.05 for name, tensor in features.state_dict().items()}


@pytest.fixture
def vgg_file(vgg_state: dict[str, Tensor], tmp_path: Path) -> str:
    path = tmp_path / "vgg.safetensors"
    save_file(vgg_state, path)
    return str(path)


def test_layers_are_read_where_their_names_say(vgg_state: dict[str, Tensor], vgg_file: str) -> None:
    features = Backbone("vgg19", ["conv_1", "relu1_1", "conv1_2", "pool1"], vgg_file)(IMAGE)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (IMAGE - mean[:, None, None]) / std[:, None, None]
    conv = torch.conv2d(x, vgg_state["features.0.weight"], vgg_state["features.0.bias"], padding=1)
    torch.testing.assert_close(features["conv1_1"], conv, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features["relu1_1"], conv.relu(), atol=1e-4, rtol=1e-4)
    expected = torch.nn.functional.max_pool2d(features["conv1_2"].relu(), 2)
    torch.testing.assert_close(features["pool1"], expected)


@pytest.mark.parametrize("layers", [["conv1_1", "conv2_1"], ["conv1_1"]])
def test_a_convolution_is_read_before_its_relu(layers: list[str], vgg_file: str) -> None:
    features = Backbone("vgg19", layers, vgg_file)(IMAGE)
    assert all((features[layer] < 0).any() for layer in layers)


def test_it_ends_at_the_deepest_layer_frozen_and_channels_last(vgg_file: str) -> None:
    backbone = Backbone("vgg19", ["conv2_1", "conv1_1"], vgg_file)
    assert len(backbone.features) == 6
    assert backbone.deepest == "conv2_1"
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    image = IMAGE.clone().requires_grad_(True)
    features = backbone(image)["conv2_1"]
    assert features.is_contiguous(memory_format=torch.channels_last)
    features.square().mean().backward()
    assert image.grad is not None
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_pth_and_safetensors_hold_the_same(vgg_state: dict[str, Tensor], vgg_file: str, tmp_path: Path) -> None:
    torch.save(vgg_state, tmp_path / "vgg.pth")
    first, second = (Backbone("vgg19", ["conv2_1"], path) for path in (vgg_file, str(tmp_path / "vgg.pth")))
    assert torch.equal(first(IMAGE)["conv2_1"], second(IMAGE)["conv2_1"])


def test_pooling_and_padding_are_those_requested(vgg_file: str) -> None:
    maximum, average = (Backbone("vgg19", ["relu1_2", "pool1"], vgg_file, pooling=each) for each in ("max", "avg"))
    relu = maximum(IMAGE)["relu1_2"]
    torch.testing.assert_close(average(IMAGE)["pool1"], torch.nn.functional.avg_pool2d(relu, 2))
    flat = torch.full((1, 3, 32, 32), 0.8)
    for padding in ("reflect", "replicate"):
        inner = Backbone("vgg19", ["conv1_1"], vgg_file, padding=padding)(flat)["conv1_1"]
        assert (inner - inner[..., :1, :1]).abs().max() < 1e-4  # a constant image has no border
    border = Backbone("vgg19", ["conv1_1"], vgg_file)(flat)["conv1_1"]
    assert (border - border[..., :1, :1]).abs().max() > 0.01


def test_smallest_side_is_what_the_deepest_layer_needs(vgg_file: str) -> None:
    backbone = Backbone("vgg19", ["conv2_1"], vgg_file, padding="reflect")
    assert backbone.smallest_side == 3
    backbone(torch.rand(1, 3, 3, 3))
    with pytest.raises(RuntimeError):
        backbone(torch.rand(1, 3, 2, 2))


def test_every_row_of_the_image_is_seen_by_every_layer() -> None:
    assert Backbone("slim", ["conv_5"])(torch.rand(1, 3, 47, 63))["conv5_1"].shape[2:] == (3, 4)


def test_a_checkpoint_that_ends_too_early_is_refused(vgg_file: str) -> None:
    with pytest.raises(InputError, match=r"does not reach conv2_2 of vgg19: it lacks features\.7\.weight"):
        Backbone("vgg19", ["conv1_1", "conv2_2"], vgg_file)


def test_a_checkpoint_of_another_network_is_refused(vgg_state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(vgg_state | {"features.0.weight": torch.zeros(96, 3, 7, 7)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not a checkpoint of vgg19"):
        Backbone("vgg19", ["conv1_1"], str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["page.pth", "cut.pth", "cut.safetensors", "pickle.pth"])
def test_files_that_hold_no_weights_are_refused(name: str, vgg_state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "page.pth":
        path.write_text("<html>404</html>")
    elif name == "cut.safetensors":
        save_file(vgg_state, path)
        path.write_bytes(path.read_bytes()[:-10])
    elif name == "cut.pth":
        torch.save(vgg_state, path)
        path.write_bytes(path.read_bytes()[:2000])
    else:
        torch.save(["no", "state", "dict"], path)
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as error:
        Backbone("vgg19", ["conv1_1"], str(path))
    assert "\n" not in str(error.value)


def test_a_cached_official_file_is_verified(tmp_path: Path) -> None:
    cached = tmp_path / ".cache" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"random numbers under the right name")
    with pytest.raises(InputError, match="does not begin with dcbb9e9d"):
        Backbone("vgg19", ["conv1_1"])


def test_official_weights_are_downloaded_once_into_the_cache_and_verified(
    vgg_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(vgg_state, tmp_path / "made.pth")
    published = tmp_path / f"vgg19-{sha256(tmp_path / 'made.pth')[:8]}.pth"
    (tmp_path / "made.pth").rename(published)

    class Official:
        url = published.as_uri()

        def get_state_dict(self, progress: bool, check_hash: bool) -> object:
            return torch.hub.load_state_dict_from_url(self.url, progress=progress, check_hash=check_hash)

    monkeypatch.setitem(NETWORKS, "vgg19", replace(NETWORKS["vgg19"], official=Official()))
    first = Backbone("vgg19", ["conv1_1"])
    assert first.weights == tmp_path / ".cache" / "hub" / "checkpoints" / published.name
    published.unlink()
    assert torch.equal(Backbone("vgg19", ["conv1_1"])(IMAGE)["conv1_1"], first(IMAGE)["conv1_1"])


def test_without_network_and_file_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("socket.create_connection", offline)
    with pytest.raises(InputError, match=r"no route to host.*backbone=slim.*backbone\.weights="):
        Backbone("squeezenet", ["fire4"])


def test_slim_is_embedded_small_and_calibrated() -> None:
    assert find("slim").stat().st_size < 4_000_000
    backbone = Backbone("slim", [f"conv_{block}" for block in range(1, 6)], padding="reflect")
    photographs = [backbone(load(samples.find("content", name), 256)) for name in ("chelsea", "coffee", "rocket")]
    for layer in backbone.layers:
        level = sum(float(features[layer].abs().mean()) for features in photographs) / 3
        assert 0.5 < level < 2, f"{layer}: mean activation {level}, so the default loss weights would not be balanced"


def test_slim_costs_less_than_10_gmac_at_512_pixels() -> None:
    backbone = Backbone("slim", [f"conv_{block}" for block in range(1, 6)], padding="reflect")
    with FlopCounterMode(display=False) as counter:
        backbone(torch.rand(1, 3, 128, 128))
    multiplications = counter.get_total_flops() / 2 * (512 / 128) ** 2
    assert multiplications == pytest.approx(9.85e9, rel=0.01)


@pytest.mark.real_weights
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared with real weights")
def test_real_weights_load_and_normalized_vgg_has_mean_activation_one() -> None:
    vgg = Backbone("vgg19", ["relu1_1", "relu2_1"], str(SHARED / "weights/vgg19_to_conv3_1.safetensors"))
    squeezenet = Backbone("squeezenet", ["conv1", "fire9"], str(SHARED / "weights/squeezenet1_0.safetensors"))
    assert 0.2 < float(vgg(IMAGE)["relu1_1"].mean()) < 5  # Gatys 2016, section 2: weights scaled to mean activation 1
    assert squeezenet(torch.rand(1, 3, 64, 64))["fire9"].shape[1] == 512


def test_an_interrupted_download_is_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    name = f"vgg19-{sha256(tmp_path / 'whole.pth')[:8]}.pth"
    requests: list[int] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(1)
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2] if len(requests) == 1 else whole)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        get = partial(torch.hub.load_state_dict_from_url, url)
        official = SimpleNamespace(url=url, get_state_dict=get)
        monkeypatch.setitem(NETWORKS, "vgg19", replace(NETWORKS["vgg19"], official=official))
        with pytest.raises(InputError, match="could not be fetched"):
            find("vgg19")
        assert not list((tmp_path / ".cache").rglob("*.pth*"))
        assert find("vgg19").read_bytes() == whole
        server.shutdown()


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    for build in (lambda: Backbone("vgg9", ["conv1_1"]), lambda: find("vgg9"), lambda: architecture("vgg9")):
        with pytest.raises(InputError, match=r"backbone\.name=vgg9: no such backbone; did you mean 'vgg\d+'\?; .*slim"):
            build()


def test_a_backbone_is_an_entry_of_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def tiny() -> Network:
        with torch.device("meta"):
            return Network(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()), {"conv1": 0, "relu1": 1})

    monkeypatch.setitem(NETWORKS, "tiny", Architecture(tiny, hint="relu1 is the one to take"))
    with pytest.raises(InputError, match=r"the weights of tiny .* give backbone\.weights="):
        Backbone("tiny", ["relu1"])
    path = tmp_path / "tiny.safetensors"
    save_file({"features.0.weight": torch.ones(4, 3, 3, 3), "features.0.bias": torch.zeros(4)}, path)
    assert Backbone("tiny", ["relu1"], str(path))(IMAGE)["relu1"].shape == (1, 4, 32, 40)
    with pytest.raises(InputError, match=r"no layer 'relu2'.*relu1 is the one to take"):
        Backbone("tiny", ["relu2"], str(path))


def test_every_network_has_a_config_of_its_name() -> None:
    assert {path.stem for path in (ROOT / "conf" / "backbone").glob("*.yaml")} == set(NETWORKS)
