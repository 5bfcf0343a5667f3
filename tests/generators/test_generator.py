"""Generators: their shapes and files, and tiles that meet without a seam."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from nst.generators import onnx, tiles
from nst.generators.files import encode, load
from nst.generators.networks import Generator, cyclegan, johnson
from tests.conftest import Door


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_the_networks_are_those_of_the_papers() -> None:
    # Johnson et al. 2016, supplementary material: 9×9 to 32, two strides, five residual blocks of 128, and back
    found = shapes(johnson())
    assert [name for name, _ in johnson().named_children()] == (
        ["c9s1-32", "d64", "d128", *(f"R128_{block}" for block in range(1, 6)), "u64", "u32", "c9s1-3"]
    )
    assert found["c9s1-32.0.weight"] == (32, 3, 9, 9)
    assert found["R128_5.body.3.weight"] == (128, 128, 3, 3)
    assert found["c9s1-3.weight"] == (3, 32, 9, 9)
    # Zhu et al. 2017, section 7.2: c7s1-64, d128, d256, R256 × 9, u128, u64, c7s1-3; 11,378,179 parameters
    assert [name for name, _ in cyclegan().named_children()] == (
        ["c7s1-64", "d128", "d256", *(f"R256_{block}" for block in range(1, 10)), "u128", "u64", "c7s1-3"]
    )
    assert sum(value.numel() for value in cyclegan().parameters()) == 11_378_179
    assert shapes(cyclegan(blocks=6))["u128.0.weight"] == (256, 128, 3, 3)


@pytest.mark.parametrize("name", ["johnson", "cyclegan"])
@pytest.mark.parametrize("size", [(5, 5), (64, 64), (37, 50), (5, 161)])
def test_a_painted_image_has_the_size_it_had(name: str, size: tuple[int, int]) -> None:
    painted = Generator(name, 4, 1)(torch.rand(2, 3, *size))
    assert painted.shape == (2, 3, *size)
    assert painted.min() >= 0
    assert painted.max() <= 1


@pytest.mark.parametrize("name", ["johnson", "cyclegan"])
@pytest.mark.parametrize("size", [(131, 202), (5, 161), (64, 300)])
@pytest.mark.parametrize("tile", [16, 40, 128])
def test_tiles_paint_what_is_painted_at_once(name: str, size: tuple[int, int], tile: int) -> None:
    torch.manual_seed(0)
    generator = Generator(name, 6, 2)
    image = torch.rand(1, 3, *size)
    image[..., : size[1] // 2] *= 0.2  # a dark half: statistics of a tile are not those of the whole
    with torch.no_grad():
        whole = generator(image)
    torch.testing.assert_close(tiles.paint(generator, image, tile), whole, atol=1e-5, rtol=0)
    assert all(module.fixed_statistics is None for module in generator.modules() if hasattr(module, "fixed_statistics"))


STYLE = {"path": "swirl.jpg", "sha256": 64 * "0"}


def test_a_generator_is_the_same_from_its_file(tmp_path: Path) -> None:
    generator = Generator("cyclegan", 4, 1)
    (tmp_path / "g.safetensors").write_bytes(encode(generator, {"styles": [STYLE], "steps": 3, "more": "x"}))
    again, description = load(tmp_path / "g.safetensors")
    image = torch.rand(1, 3, 20, 20)
    assert torch.equal(again(image), generator(image))
    said = {"name": "cyclegan", "width": 4, "blocks": 1}
    assert description == {"generator": said, "styles": [STYLE], "style": STYLE, "steps": 3}


class Attack:
    """What a pickle can do when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("attacked"),)


def test_what_is_no_generator_is_refused_in_one_line(nst: Door, tmp_path: Path) -> None:
    good = encode(Generator("johnson", 4, 1), {})
    (tmp_path / "short.safetensors").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    save_file({"weight": torch.zeros(3)}, tmp_path / "plain.safetensors")
    tensors = {name: value.contiguous() for name, value in Generator("cyclegan", 4, 1).network.state_dict().items()}
    for name, said in (
        ("other", {"name": "johnson", "width": 4, "blocks": 1}),
        ("wider", {"name": "cyclegan", "width": 8, "blocks": 1}),
        ("unknown", {"name": "os.system", "width": 4, "blocks": 1}),
        ("huge", {"name": "johnson", "width": 10**9, "blocks": 1}),
        ("odd", ["johnson"]),
    ):
        save_file(tensors, tmp_path / f"{name}.safetensors", {"nst": json.dumps({"generator": said})})
    fit = {"generator": {"name": "cyclegan", "width": 4, "blocks": 1}}
    lost = {name: torch.full_like(value, torch.nan) for name, value in tensors.items()}
    save_file(lost, tmp_path / "lost.safetensors", {"nst": json.dumps(fit)})
    large = {name: torch.full_like(value, 3e38) for name, value in tensors.items()}
    save_file(large, tmp_path / "large.safetensors", {"nst": json.dumps(fit)})
    save_file(tensors, tmp_path / "garbled.safetensors", {"nst": "{"})
    for name, facts in (("half", {"name": "johnson", "width": 4, "blocks": 1}),):
        halved = {
            key: value.half().contiguous() for key, value in Generator("johnson", 4, 1).network.state_dict().items()
        }
        save_file(halved, tmp_path / f"{name}.safetensors", {"nst": json.dumps({"generator": facts})})
        assert load(tmp_path / f"{name}.safetensors")[0](torch.rand(1, 3, 8, 8)).dtype is torch.float32
    save_file(tensors, tmp_path / "deep.safetensors", {"nst": "[" * 100_000})
    torch.save({"config": {"mode": "train"}, "state_dict": tensors}, tmp_path / "whole.ckpt")
    (tmp_path / "short.ckpt").write_bytes((tmp_path / "whole.ckpt").read_bytes()[:-2000])
    (tmp_path / "stub.ckpt").write_bytes(b"\x80\x02.")
    torch.save(Attack(), tmp_path / "attack.ckpt")
    with ZipFile(tmp_path / "whole.ckpt") as whole, ZipFile(tmp_path / "packed.ckpt", "w", ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    torch.save({"state_dict": tensors}, tmp_path / "foreign.pth")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"config": {"mode": "transfer"}, "state_dict": {"pixels": torch.zeros(3)}}, tmp_path / "image.ckpt")
    torch.save({"config": {"mode": "train"}, "state_dict": {}}, tmp_path / "hollow.ckpt")
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "folder").mkdir()
    for name, expected in (
        ("missing.safetensors", "no file"),
        ("folder", "no file"),
        ("short.safetensors", "not a whole .safetensors file"),
        ("empty.safetensors", "not a whole .safetensors file"),
        ("plain.safetensors", "holds no generator of nst"),
        ("other.safetensors", "not those of the generator it says"),
        ("wider.safetensors", "not those of the generator it says"),
        ("unknown.safetensors", "not those of the generator it says"),
        ("huge.safetensors", "not those of the generator it says"),
        ("lost.safetensors", "its weights are not finite"),
        ("large.safetensors", "its pictures are not finite"),
        ("odd.safetensors", "holds no generator of nst"),
        ("garbled.safetensors", "holds no generator of nst"),
        ("deep.safetensors", "holds no generator of nst"),
        ("attack.ckpt", "no generator"),
        ("short.ckpt", "no generator"),
        ("stub.ckpt", "no generator"),
        ("packed.ckpt", "no generator"),
        ("foreign.pth", "no run of nst"),
        ("list.pt", "no run of nst"),
        ("image.ckpt", "a run of mode=transfer"),
        ("hollow.ckpt", "holds no generator of nst"),
        ("text.onnx", "not a whole ONNX model"),
    ):
        refused = nst("mode=stylize", f"checkpoint={name}", "content=chelsea", "tracking=none")
        assert refused.status == 2, name
        assert expected in refused.err, name
        assert refused.err.count("\n") == 1, name
        assert re.match(r"nst: checkpoint=\S+", refused.err), name
        assert not refused.folder.exists()
    assert not (tmp_path / "attacked").exists()
    assert "mode=stylize needs checkpoint=" in nst("mode=stylize", "tracking=none").err
    assert "mode=export needs checkpoint=" in nst("mode=export", "tracking=none").err


def test_a_picture_that_is_not_finite_is_not_written(nst: Door, tmp_path: Path) -> None:
    """Some images make finite weights overflow, and others do not."""
    generator = Generator("johnson", 4, 0)
    next(generator.parameters()).data.fill_(2e36)
    (tmp_path / "g.safetensors").write_bytes(encode(generator, {}))
    (tmp_path / "photos").mkdir()
    for name, color in (("white", 255), ("gray", 128)):
        Image.new("RGB", (48, 48), (color,) * 3).save(tmp_path / "photos" / f"{name}.png")
    stylize = ("mode=stylize", "checkpoint=g.safetensors", "tracking=none", "judge=none")

    refused = nst(*stylize, "content=photos/white.png")
    assert refused.status == 2
    assert refused.err.startswith("nst: photos/white.png: the generator makes no finite picture of it")
    assert refused.record["status"] == "refused"
    assert not (refused.folder / "result.png").exists()

    folder = nst(*stylize, "content=photos")
    assert folder.status == 1
    assert "passed over: photos/white.png: the generator makes no finite picture of it" in folder.out
    assert [path.name for path in (folder.folder / "results").iterdir()] == ["gray.png"]


def test_an_onnx_model_that_takes_too_long_or_too_much_is_refused(
    nst: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    from onnx import TensorProto, helper, save

    shape: list[str | int | None] = ["batch", 3, "height", "width"]
    image, painted = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "painted"))

    def save_as(name: str, *nodes: Any) -> None:
        scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 20.0, 20.0])
        graph = helper.make_graph(nodes, name, [image], [painted], [scales])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        save(model, tmp_path / f"{name}.onnx")

    large = helper.make_node("Resize", ["image", "", "scales"], ["0"])
    names = [*map(str, range(200)), "painted"]
    slow = [helper.make_node("Tanh", [before], [after]) for before, after in pairwise(names)]
    save_as("slow", large, *slow)
    save_as("zeros", helper.make_node("ConstantOfShape", ["scales"], ["painted"]))

    monkeypatch.setattr(onnx, "LONGEST_TRIAL", 0.1)
    for name, said in (
        ("slow", "takes more than 0.1 s for a small image"),
        ("zeros", "has the operator ConstantOfShape; expected a file written by mode=export"),
    ):
        refused = nst("mode=stylize", f"checkpoint={name}.onnx", "content=chelsea", "tracking=none")
        assert refused.status == 2
        assert refused.err == f"nst: checkpoint={name}.onnx: {said}\n"
