"""Bad input is answered by one line that names the key and the remedy, exit status 2, and leaves nothing."""

import io
import os
import shlex
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nst.errors import InputError
from nst.images import files as imagefile
from tests.conftest import SMALL, Door
from tools.soak.processes import Command

REFUSED = [
    ("styl_weight=1", "did you mean 'style_weight'?"),
    ("+style_wight=1", "did you mean 'style_weight'?"),
    ("backbone.weigths=x", "did you mean 'backbone.weights'?"),
    ("layerz=gatys", "did you mean 'layers'?"),
    ("optimizer.beta1=0.5", "belongs to another choice of optimizer"),
    ("style_weight=abc", "style_weight: 'abc' is not a number"),
    ("style_weight=-1", "must be at least 0"),
    ("style_weight=nan", "must be a finite number"),
    ("steps=0", "must be at least 1"),
    ("steps=2.5", "not a whole number"),
    ("optimizer.lr=0", "must be above 0"),
    (
        "mode=transfr",
        "did you mean 'transfer'?; the options are distill, export, fidelity, reconstruct, stylize, texture, train, "
        "transfer",
    ),
    ("mode=null", "takes the name of an option"),
    ("mode='${'", "the config cannot be composed: no viable alternative at input '${'"),
    ("backbone=vgg11", "slim, squeezenet, vgg16, vgg19"),
    ("levels=3", "levels=: renamed: use scales="),
    ("trainer.machines=2", "renamed: use trainer.num_nodes="),
    ("colours=content", "renamed: use colors="),
    ("mode=texture colors=content", "colors: mode=texture does not use it; used by mode=transfer, mode=stylize"),
    ("checkpoint=foo", "used by mode=export, mode=stylize"),
    ("tile=64", "used by mode=stylize"),
    ("epochs=3", "used by mode=train"),
    ("data.dir=photos", "data.dir: mode=transfer does not use it; used by mode=train"),
    ("distill.photos=photos", "used by mode=distill"),
    ("mode=export content=chelsea", "content: mode=export does not use it"),
    ("mode=train init=noise", "init: mode=train does not use it"),
    ("style_loss=grams", "did you mean 'gram'?"),
    ("style_loss=wasserstien", "did you mean 'wasserstein'?"),
    ("style_loss=gram style_loss.normalise=hw", "did you mean 'style_loss.normalize'?"),
    ("+style_loss.power=2", "no key 'style_loss.power'"),
    ("style_loss=gram style_loss.normalize=wh", "expected one of [chw, hw, none]"),
    ("tracking=wandb tracking.mode=onlin", "expected one of [auto, online, offline]"),
    ("style_layer_weights=[1,2]", "has 2 weights, and there are 5 style layers"),
    ("style_layer_weights=[1,1,1,1,-1]", "must be from 0 to 1e+09, and one of them above 0"),
    ("style_layer_weights=[0,0,0,0,0]", "must be from 0 to 1e+09, and one of them above 0"),
    ("style_layer_weights=[1,1,1,1,nan]", "must be from 0 to 1e+09, and one of them above 0"),
    ("style_layer_weights=equally", "must be null (equal), positions, or a list of numbers"),
    ("style_layer_weights=[a,b,c,d,e]", "must be null (equal), positions, or a list of numbers"),
    ("mode=reconstruct style_layer_weights=[1]", "mode=reconstruct does not use it"),
    ("content_loss=feature", "did you mean 'features'?"),
    ("content_loss=null", "content_loss"),
    ("style_layers=conv_1", "write [conv_1,conv_2]"),
    ("style_layers=${steps}", "style_layers=100: must be a list"),
    ("scale_steps=${steps}", "scale_steps=100: must be a list"),
    ("sweep=${steps}", "sweep: is a section of keys; a reference to another key cannot stand for it"),
    ("-m sweep=${trainer} seed=1,2", "sweep: is a section of keys"),
    ("zip=${oc.env:HOME}", "zip: Unsupported interpolation type oc.env"),
    ("style_layers=[]", "needs style_layers"),
    ("style_layers=[conv_6]", "is ambiguous"),
    ("style_layers=[conv1_9]", "the layers of slim are conv1_1"),
    ("content=chelsa", "did you mean 'chelsea'?"),
    ("content=null", "mode=transfer needs content="),
    ("content=.", "that is a folder"),
    ("content=", "no such file or sample"),
    ("content=" + "x" * 300, "no path: file name too long"),
    ("steps=2000000000", "must be at most 1e+06"),
    ("steps=" + "9" * 5000, "steps: a number of 400 digits or more"),
    ("repeats=1" + "0" * 30, "must be at most 1000"),
    ("optimized_metric={total:1" + "0" * 350 + "}", "optimized_metric.total: a number of more than 38 digits"),
    ("style_mix=[1" + "0" * 350 + "]", "style_mix: a number of more than 38 digits"),
    ("steps=1" + "0" * 350, "steps: a number of more than 38 digits"),
    ("mode=train epochs=1000000", "steps; at most 1000000 are possible"),
    ("optimizer.history_size=1000000000", "must be at most 1000"),
    ("optimizer.lr=1e300", "must be at most 1e+38"),
    ("content_layers=[[conv_1]]", "must be a list of names, without lists in it"),
    ("content_layers=" + "[" * 200 + "]" * 200, "content_layers: brackets in brackets"),
    ("content=" + "y/" * 3000, "no path: file name too long"),
    ("content=~nobody-has-this-name/x.png", "there is no file"),
    ("backbone.name=vgg11", "no such backbone; did you mean 'vgg19'?"),
    ("optimizer.name=adam", "choose it with optimizer=NAME"),
    ("layers=johnson", "in backbone=vgg19 and backbone=vgg16"),
    ("content=a (1.png", "there is no file 'a (1.png'"),
    ("data.dir=a(1", "as one text it is"),
    ("init=nois", "neither noise, content, style, style_statistics, gray nor an image file"),
    ("size=16", "conv5_1 needs 17 a side: raise size"),
    ("style_size=16", "raise style_size"),
    ("background=whit", "not a color"),
    ("resume=nowhere", "no such file"),
    ('question="${oc.env:HOME}"', "question: Unsupported interpolation type oc.env"),
    ("hydra.run.dir=/dev/null/x", "cannot write to /dev/null/x"),
    ("experiment=nothing", "no such option"),
    ("mode=texture style=null", "mode=texture needs style="),
    ("mode=texture content_layers=[conv_1]", "content_layers: mode=texture does not use it; used by mode="),
    ("mode=reconstruct style_layers=[conv_1]", "style_layers: mode=reconstruct does not use it; used by mode="),
    ("mode=reconstruct content_weight=0", "content_weight=0: leaves mode=reconstruct nothing to minimize"),
    ("content_weight=0 style_weight=0", "leaves mode=transfer nothing to minimize"),
    ("mode=stylize content=chelsea", "checkpoint="),
    ("mode=export", "checkpoint="),
    ("mode=train data.dir=nowhere", "data.dir=nowhere: no such folder"),
    ("mode=train optimizer=lbfgs", "belongs to another choice of optimizer"),
    ("mode=train data.batch=0", "data.batch=0: must be at least 1"),
    ("mode=train data.size=4", "data.size=4: must be at least 16"),
    ("mode=distill distill.photos=nowhere", "no such folder"),
    ("mode=fidelity fidelity.pairs=[]", "mode=fidelity needs fidelity.pairs"),
    ("size=0", "size=0: must be at least 1"),
    ("size=16385", "must be at most 16384"),
    ("size=big", "size: 'big' is not a whole number"),
    ("scales=0", "scales=0: must be at least 1"),
    ("scales=17", "scales=17: must be at most 16"),
    ("scales=5 size=64", "the smallest image would be"),
    ("scales=3 steps=2", "scales=3: there are only 2 steps"),
    ("scale_factor=1", "scale_factor=1: must be at least 1.1"),
    ("scale_steps=[-1,1]", "scale_steps=[-1,1]: must be numbers from 0"),
    ("scale_steps=[[1],2]", "must be numbers from 0"),
    ("style_scale=8 size=4096", "makes the style larger than 16384 px a side"),
    ("style_scale=0", "style_scale=0: must be above 0"),
    ("average=1", "average=1: must be at most 0.9999"),
    ("strip=1", "strip=1: must be at least 32"),
    ("seed=-1", "seed=-1: must be at least 0"),
    ("content_weight=inf", "content_weight=inf: must be a finite number"),
    ("tv_weight=-1", "tv_weight=-1: must be at least 0"),
    ("range_weight=-1", "range_weight=-1: must be at least 0"),
    ("optimizer.history_size=0", "optimizer.history_size=0: must be at least 1"),
    ("optimizer=adam optimizer.beta1=1", "optimizer.beta1=1: must be at most 0.9999"),
    ("optimizer=sgd", "the options are adam, lbfgs"),
    ("backbone.pooling=median", "expected one of [max, avg]"),
    ("backbone.scale=none", "expected one of [unit, as_trained]"),
    ("backbone.padding=same", "expected one of [zeros, reflect, replicate]"),
    ("trainer.precision=float16", "expected one of [float32, tf32, bfloat16]"),
    ("trainer.precision=tf32 trainer=cpu", "only NVIDIA GPUs have it"),
    ("trainer.checkpoint_seconds=0", "must be above 0"),
    ("trainer.devices=2", "mode=transfer: takes one process"),
    ("tracking.loss_every=0", "tracking.loss_every=0: must be at least 1"),
    ("optimized_metric=beauty", "expected one of"),
    ("optimized_metric={w2:heavy}", "optimized_metric.w2=heavy: the weight must be a finite number"),
    ("optimized_metric={w2:0}", "one of the weights must not be 0"),
    ("optimized_metric=[w2]", "must be one of total,"),
    ("optimized_metric=ssim judge=none", "judge=none measures no ssim"),
    ("pair=[chelsea,waves]", "no key 'pair'"),
    ("style_layers=conv_1", "this is a list"),
    ("rerun=nowhere", "rerun=nowhere: no such file or folder"),
    ("resume=a rerun=b", "give one of them"),
    ("hydra.run.dir=/proc/nst", "cannot write to /proc/nst"),
]


@pytest.mark.parametrize(("arguments", "expected"), REFUSED, ids=[arguments for arguments, _ in REFUSED])
def test_a_key_that_cannot_be_used(arguments: str, expected: str, nst: Door, tmp_path: Path) -> None:
    given = [arguments] if arguments.startswith("content=a (") else arguments.split(" ")
    refused(nst, tmp_path, expected, *given, *([] if "run.dir" in arguments else ["hydra.run.dir=a/b"]))


def refused(nst: Door, folder: Path, expected: str, *arguments: str) -> None:
    before = sorted(folder.rglob("*"))
    tracked = any(each.startswith("tracking=") for each in arguments)
    result = nst(*(() if tracked else ("tracking=none",)), *arguments)
    assert result.status == 2, result.out + result.err
    assert expected in result.err
    assert result.err.startswith("nst: ")
    assert result.err.count("\n") == 1
    assert result.out == ""
    assert sorted(folder.rglob("*")) == before


def encoded(kind: str, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG file of a few bytes that says it has 60,000 × 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PNG, JPEG = encoded("PNG"), encoded("JPEG")
IMAGES = {
    "empty.png": (b"", "is not an image"),
    "text.png": (b"<html>not an image</html>", "is not an image"),
    "signature.png": (PNG[:8], "signature.png"),
    "header.png": (PNG[:30], ""),
    "half.png": (PNG[: len(PNG) // 2], "half.png: image file is truncated"),
    "end.png": (PNG[:-40], "end.png: image file is truncated"),
    "start.jpg": (JPEG[:20], ""),
    "half.jpg": (JPEG[: len(JPEG) // 2], "half.jpg: image file is truncated"),
    "bomb.png": (bomb(), "scale it down"),
    "line.png": (encoded("PNG", (20_000, 1)), "the content is 64×1 pixels at this size"),
    "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("role", ["content", "style", "init"])
def test_an_image_that_is_none(name: str, role: str, nst: Door, tmp_path: Path) -> None:
    data, expected = IMAGES[name]
    (tmp_path / name).write_bytes(data)
    if name == "line.png" and role != "content":
        pytest.skip("a line fits a canvas, or the style's own message is another")
    refused(nst, tmp_path, expected, *SMALL, f"{role}={name}")


def saved(path: Path, mode: str) -> Path:
    image = Image.open(io.BytesIO(PNG))
    if mode == "16 bit":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)
    elif mode == "palette":
        image.convert("P").save(path, transparency=0)
    elif mode == "animated":
        image.save(path, save_all=True, append_images=[image.rotate(90)])
    elif mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    else:
        image.convert(mode).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("print.tif", "CMYK"),
        ("deep.png", "16 bit"),
        ("few.png", "palette"),
        ("moving.gif", "animated"),
        ("turned.jpg", "turned"),
        ("gray.png", "L"),
        ("photo.jpg.png", "RGBA"),
    ],
)
def test_an_unusual_image_that_is_one(name: str, mode: str, nst: Door, tmp_path: Path) -> None:
    saved(tmp_path / name, mode)
    result = nst(*SMALL, f"content={name}", "steps=1")
    assert result.status == 0, result.err
    assert result.pixels().shape == ((64, 48, 3) if mode == "turned" else (48, 64, 3))


def test_an_image_named_like_another_kind_and_one_of_a_single_pixel(nst: Door, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PNG)
    (tmp_path / "dot.png").write_bytes(encoded("PNG", (1, 1)))
    assert nst(*SMALL, "content=photo.jpg", "style=dot.png", "steps=1").status == 0


class Malice:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch PWNED",)


def weights(path: Path, kind: str) -> None:
    if kind == "code":
        torch.save({"features.0.weight": Malice()}, path)
    elif kind == "truncated":
        torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "html":
        path.write_text("<!doctype html><title>404</title>")
    elif kind == "another network":
        torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3), "features.0.bias": torch.zeros(8)}, path)
    elif kind == "no tensors":
        torch.save({"epoch": 3}, path)
    elif kind == "empty":
        path.touch()
    elif kind == "an opcode":
        path.write_bytes(b"\x80")
    elif kind in ODD:
        held = {"features.0.weight": ODD[kind](torch.ones(64, 3, 3, 3)), "features.0.bias": torch.zeros(64)}
        torch.save(held, path)


ODD: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sparse": torch.Tensor.to_sparse,
    "meta": lambda tensor: tensor.to("meta"),
    "not finite": lambda tensor: tensor * torch.nan,
}
"""Tensors that have no numbers to compute with."""


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "kind", ["missing", "code", "truncated", "html", "another network", "no tensors", "empty", "an opcode", *ODD]
)
def test_weights_that_are_none(kind: str, suffix: str, nst: Door, tmp_path: Path) -> None:
    path = tmp_path / f"it.{suffix}"
    weights(path, kind)
    shallow = ("backbone=vgg19", "style_layers=[conv1_1]", "content_layers=[conv1_1]", "size=64", "tracking=none")
    refused(nst, tmp_path, path.name, *shallow, f"backbone.weights={path.name}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: [[override /layers: classroom]]", "the config cannot be composed: ValueError: Unsupported type"),
        ("3", "Invalid loaded object type"),
        ('defaults: [{"override /optimizer": "\\ud800"}]', "the config cannot be composed: UnicodeEncodeError"),
        ("steps: !!int x", "not YAML of an experiment: "),
        ("a: &a [1, 1]\n" + "b: [" + "*a, " * 20 + "1]", "more than 20 levels, or 10 aliases"),
        ("- 1", "holds no keys"),
        ("steps: " + "[" * 100_000, "more than 20 levels"),
        ("steps: 3 #" + " " * 2**20, "more than 131072 bytes"),
    ],
)
def test_an_experiment_file_that_is_none(text: str, expected: str, nst: Door, tmp_path: Path) -> None:
    (tmp_path / "it.yaml").write_text(f"# @package _global_\n{text}\n")
    refused(nst, tmp_path, expected, "experiment=it.yaml", "tracking=none")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("it.pth", "backbone=vgg19 backbone.weights=it.pth"),
        ("it.ckpt", "resume=it.ckpt"),
        ("it.safetensors", "mode=stylize checkpoint=it.safetensors"),
    ],
)
def test_a_file_that_is_larger_than_the_memory(name: str, asked: str, nst: Door, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        try:
            file.truncate(2**42)  # takes no room on the disk
        except OSError:
            pytest.skip("this file system has no sparse files")
    small = () if "mode=" in asked else SMALL
    refused(nst, tmp_path, "of memory are free", *small, *asked.split(" "))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize(
    "asked",
    [
        "content=it",
        "style=[swirl,it]",
        "mask=it",
        "init=it",
        "regions=[{mask:it,style:waves}]",
        "backbone.weights=it",
        "judge=squeezenet judge.weights=it",
        "resume=it",
        "rerun=it",
        "mode=stylize checkpoint=it",
        "mode=train data.dir=it",
        "mode=stylize content=it checkpoint=it",
        "experiment=it.yaml",
    ],
)
def test_a_pipe_or_a_device_is_no_file(asked: str, nst: Door, tmp_path: Path) -> None:
    """Opened, it would hang for ever."""
    small = SMALL if "mode=" not in asked and "judge=" not in asked else ("tracking=none",)
    for name in ("it", "it.yaml"):
        os.mkfifo(tmp_path / name)
    refused(nst, tmp_path, "it", *small, *asked.split(" "))
    for name in ("it", "it.yaml"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("/dev/zero")
    refused(nst, tmp_path, "it", *small, *asked.split(" "))


def test_official_weights_that_are_not_the_official_ones(nst: Door, tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "vgg19-dcbb9e9d.pth").write_bytes(b"half a download")
    refused(nst, tmp_path, "is not the official file: its SHA-256", "backbone=vgg19", *SMALL)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 half", b"<html>"])
def test_a_checkpoint_that_is_none(data: bytes, nst: Door, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.ckpt").write_bytes(data)
    refused(
        nst,
        tmp_path,
        "resume=checkpoint.ckpt: no checkpoint of this version of nst",
        *SMALL,
        "resume=checkpoint.ckpt",
    )


def test_a_checkpoint_of_which_one_bit_has_changed(nst: Door, tmp_path: Path) -> None:
    torch.save({"task": {"pixels": torch.zeros(1000)}}, tmp_path / "it.ckpt")
    data = bytearray((tmp_path / "it.ckpt").read_bytes())
    data[data.index(bytes(2000)) + 1000] ^= 1
    (tmp_path / "it.ckpt").write_bytes(data)
    refused(
        nst, tmp_path, "resume=it.ckpt: no checkpoint of this version of nst: not a whole", *SMALL, "resume=it.ckpt"
    )


@pytest.mark.parametrize("kind", ["sparse", "meta"])
def test_a_checkpoint_with_a_tensor_without_numbers(kind: str, nst: Door, tmp_path: Path) -> None:
    torch.save({"optimizer": {"state": [ODD[kind](torch.ones(3))]}}, tmp_path / "it.ckpt")
    refused(
        nst, tmp_path, "resume=it.ckpt: no checkpoint of this version of nst: not a whole", *SMALL, "resume=it.ckpt"
    )


def test_a_checkpoint_of_another_version(nst: Door, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "pytorch-lightning_version": "1.0"}, tmp_path / "old.ckpt")
    refused(nst, tmp_path, "resume=old.ckpt: no checkpoint of this version of nst", *SMALL, "resume=old.ckpt")


def test_an_output_folder_that_is_a_file(nst: Door, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    refused(nst, tmp_path, "cannot write to", *SMALL, "hydra.run.dir=taken/run")


def fill_the_disk(size: int = 6000) -> None:
    """No file of this process can be longer than a few rows."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_leaves_no_half_files(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="Windows has no limits of a process")
    done = Command(*SMALL, "steps=200", "tracking.loss_every=1", "hydra.run.dir=run", before=fill_the_disk).end()
    assert done.status == 2, done.said
    assert "cannot write" in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.rglob("*.part"))

    # less than the file that Hydra writes as a sweep begins
    sweep = Command("-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep", before=partial(fill_the_disk, 500)).end()
    assert sweep.status == 2
    assert sweep.err == "nst: cannot write to the folder of the run: File too large\n"


def test_a_traceback_is_shown_to_who_asks_for_it(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NST_DEBUG", "1")
    result = nst("content=nowhere.png", "tracking=none")
    assert result.status == 2
    assert "Traceback (most recent call last)" in result.err
    assert result.err.splitlines()[-1].startswith("nst: content=nowhere.png")


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@FUZZ
@given(
    st.binary(max_size=300), st.sampled_from([PNG, JPEG, encoded("GIF"), encoded("TIFF"), encoded("WEBP")]), st.data()
)
def test_any_bytes_are_an_image_or_refused(noise: bytes, whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole)))
    path = Path("fuzzed")
    path.write_bytes(
        data.draw(st.sampled_from([noise, whole[:at] + noise, whole[:at] + noise + whole[at + len(noise) :]]))
    )
    try:
        image = imagefile.load(path, 16)
    except InputError:
        return
    assert image.shape[:2] == (1, 3)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1


@settings(FUZZ, max_examples=30)
@given(
    st.sampled_from(
        ["style_weight", "steps", "content", "style_layers", "optimizer.lr", "backbone", "seed", "pair", "init"]
    ),
    st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str), st.just("null"), st.just("[]")),
)
def test_any_value_is_composed_or_refused_in_one_line(nst: Door, key: str, value: str) -> None:
    result = nst(f"{key}={value}".replace("\x00", ""), "--cfg", "job")
    assert result.status in (0, 2)
    assert "Traceback" not in result.err
    if result.status == 2:
        assert result.err.count("\n") == 1, result.err


@pytest.mark.parametrize("module", ["nst.run", "nst.report", "nst.download"])
def test_a_terminal_without_our_characters_and_a_closed_one(module: str, nst: Door, tmp_path: Path) -> None:
    (tmp_path / "ü…").mkdir()
    asked = {"nst.run": ["--help", "all"], "nst.report": ["ü…"], "nst.download": ["slim…"]}[module]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", module, *asked]
    done = subprocess.run(command, capture_output=True, text=True, env=ascii_only, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if module == "nst.run" else 2)
    assert "\\u2026" in done.stdout + done.stderr


def test_nobody_listens(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "nst.run", *SMALL, "hydra.run.dir=alone"])
    done = subprocess.run(f"{command} >&- 2>&-", shell=True, check=False)
    assert done.returncode == 0
    assert (tmp_path / "alone" / "result.png").exists()


def test_an_empty_wandb_mode_is_none(nst: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.setenv("WANDB_API_KEY", "")
    assert nst("size=64", "steps=1", "tracking.mode=offline").status == 0
