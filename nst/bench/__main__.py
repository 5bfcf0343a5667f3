"""`python -m nst.bench`: how fast nst is, in one run. What is measured already, on this machine and with this code, is
not measured again."""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

from nst import samples
from nst.bench import page
from nst.bench.loops import PRECISIONS
from nst.bench.stages import STAGES, Bench, Facts
from nst.errors import REFUSED, InputError, one_line
from nst.files import commit_name, sha256, write_whole
from nst.imagefile import encode_png, load_cover
from nst.layers import vgg_names
from nst.record import git_state, versions
from nst.report.publish import finding
from nst.text import say


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m nst.bench", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}; all")
    parser.add_argument("--sizes", type=_positive, nargs="+", default=[256, 512, 1024], help="pixels a side")
    parser.add_argument("--backbones", nargs="+", default=["vgg19", "slim"], choices=["vgg19", "slim"])
    parser.add_argument("--optimizers", nargs="+", default=["lbfgs", "adam"], choices=["lbfgs", "adam"])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="float32; on a GPU all")
    parser.add_argument("--repeats", type=_positive, default=3, help="how often everything is measured, in turns")
    parser.add_argument("--seconds", type=float, default=5, help="how long a loop is clocked each time")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--vgg19", type=Path, help="weights; chance's, which take the same time, if left out")
    parser.add_argument("--work", type=Path, default=Path("outputs/bench"), help="where measurements are kept")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write README.md, steps.csv and steps.svg there")
    given = parser.parse_args()
    try:
        if given.publish:
            finding(given.publish)  # to be refused before an hour of measuring rather than after it
        machine, measured = _measure(given)
        if given.publish:
            command = shlex.join(["python", "-m", "nst.bench", *sys.argv[1:]])
            for name, path in page.write(measured, machine, command, given.publish).items():
                print(f"{name:8} {os.path.relpath(path)}")
    except (InputError, OSError) as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)


def _measure(given: argparse.Namespace) -> tuple[str, list[Facts]]:
    """Go through the stages. Returns what was measured on and with, and all measurements of that."""
    for stage in given.stages:
        if stage not in STAGES:
            raise InputError(f"no stage '{stage}'; the stages are {', '.join(STAGES)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU on this machine; take --device cpu")
    work = given.work.expanduser().resolve()
    vgg19 = given.vgg19.expanduser().resolve() if given.vgg19 else _by_chance(work / "vgg19.safetensors")
    machine = _machine(given.device)
    kept = work / "measured.jsonl"
    held: list[Facts] = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    on = {"machine": machine, "vgg19": sha256(vgg19), "clocked": given.seconds}

    def measure(subject: Facts, take: Callable[[], Facts]) -> Facts:
        found = next((facts for facts in held if (subject | on).items() <= facts.items()), None)
        if found is None:
            found = subject | take() | on
            held.append(found)
            write_whole(kept, "".join(json.dumps(facts) + "\n" for facts in held).encode())
            say("  ".join(f"{key} {_short(value)}" for key, value in found.items() if key not in on))
        return found

    bench = Bench(
        content=_square(work / "content.png", samples.find("content", "chelsea"), max(given.sizes)),
        style=_square(work / "style.png", samples.find("style", "swirl"), max(given.sizes)),
        vgg19=vgg19,
        work=work / "runs",
        device=given.device,
        sizes=given.sizes,
        backbones=given.backbones,
        optimizers=given.optimizers,
        precisions=given.precisions or (PRECISIONS if given.device == "cuda" else PRECISIONS[:1]),
        repeats=given.repeats,
        seconds=given.seconds,
        measure=measure,
    )
    for stage in given.stages or STAGES:
        STAGES[stage](bench)
    return machine, [facts for facts in held if on.items() <= facts.items()]


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"… {_short(value[-1])}" if value else ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _square(path: Path, image: Path, side: int) -> Path:
    write_whole(path, encode_png(load_cover(image, side, side), {}))
    return path


def _by_chance(path: Path) -> Path:
    """A file of VGG-19's convolutions to conv5_1 with the weights that torchvision begins training with."""
    if not path.exists():
        torch.manual_seed(0)
        features = torchvision.models.vgg19(weights=None).features
        features = features[: vgg_names(features).index("conv5_1") + 1]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return path


def _machine(device: str) -> str:
    """What is measured, with what and on what, in a sentence."""
    git, installed = git_state(), versions()
    using = ", ".join(f"{name} {installed[name]}" for name in ("python", "torch", "pytorch-lightning"))
    what = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {_processor()}"
    commit = f"commit {commit_name(git)}, " if git else ""
    return f"Measured with {commit}{using}; on {what}, {torch.get_num_threads()} threads."


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]}, {len(named)} logical cores" if named else platform.processor()


if __name__ == "__main__":
    main()
