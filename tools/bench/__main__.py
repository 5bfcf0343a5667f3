"""`python -m tools.bench`: measure how fast nst is. Measurements are kept and not repeated on the same machine with
the same commit.
"""

import argparse
import os
import platform
import shlex
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

from nst.backbones.networks.vgg import vgg_names
from nst.errors import REFUSED, InputError, one_line
from nst.files import sha256, write_whole
from nst.images import samples
from nst.images.files import encode_png, load_cover
from nst.record.files import commit_name
from nst.record.provenance import git_state, versions
from nst.report.publish import finding
from tools.bench import page
from tools.bench.loops import PRECISIONS
from tools.bench.measurements import Measurements
from tools.bench.stages import STAGES, Bench


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"any of {', '.join(STAGES)}; default: all")
    parser.add_argument("--sizes", type=_positive, nargs="+", default=[256, 512, 1024], help="pixels a side")
    parser.add_argument("--backbones", nargs="+", default=["vgg19", "slim"], choices=["vgg19", "slim"])
    parser.add_argument("--optimizers", nargs="+", default=["lbfgs", "adam"], choices=["lbfgs", "adam"])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="default: float32; on a GPU all")
    parser.add_argument("--repeats", type=_positive, default=3, help="how often everything is measured, in turns")
    parser.add_argument("--seconds", type=float, default=5, help="how long a loop is timed, per repeat")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--vgg19", type=Path, help="weights; default: random ones, which take the same time")
    parser.add_argument("--work", type=Path, default=Path("outputs/bench"), help="folder that keeps measurements")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write README.md, steps.csv and plots there")
    given = parser.parse_args()
    try:
        if given.publish:
            finding(given.publish)  # refuses an unsuitable folder before an hour of measuring, not after
        machine, measurements = _measure(given)
        if given.publish:
            about = page.About(machine, shlex.join(["python", "-m", "tools.bench", *sys.argv[1:]]))
            for name, path in page.write(measurements.all(), about, given.publish).items():
                print(f"{name:12} {os.path.relpath(path)}")
    except (InputError, OSError) as error:
        print(f"nst: {one_line(error)}", file=sys.stderr)
        sys.exit(REFUSED)


def _measure(given: argparse.Namespace) -> tuple[str, Measurements]:
    """Run the stages. Returns a sentence on the machine and the measurements."""
    for stage in given.stages:
        if stage not in STAGES:
            raise InputError(f"no stage '{stage}'; the stages are {', '.join(STAGES)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU on this machine; use --device cpu")
    work = given.work.expanduser().resolve()
    vgg19 = given.vgg19.expanduser().resolve() if given.vgg19 else _random_vgg19(work / "vgg19.safetensors")
    machine = _machine(given.device)
    conditions = {"machine": machine, "vgg19": sha256(vgg19), "timed": given.seconds}
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
        measurements=Measurements(work / "measured.jsonl", conditions),
    )
    for stage in given.stages or STAGES:
        STAGES[stage](bench)
    return machine, bench.measurements


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _square(path: Path, image: Path, side: int) -> Path:
    write_whole(path, encode_png(load_cover(image, side, side), {}))
    return path


def _random_vgg19(path: Path) -> Path:
    """A file of VGG-19's convolutions up to conv5_1, initialized as by torchvision for training."""
    if not path.exists():
        torch.manual_seed(0)
        features = torchvision.models.vgg19(weights=None).features
        features = features[: vgg_names(features).index("conv5_1") + 1]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return path


def _machine(device: str) -> str:
    """A sentence: which commit is measured, with which packages, on which device."""
    git, installed = git_state(), versions()
    using = ", ".join(f"{name} {installed[name]}" for name in ("python", "torch", "pytorch-lightning"))
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {_processor()}"
    commit = f"commit {commit_name(git)}, " if git else ""
    return f"Measured with {commit}{using}; on {name}, {torch.get_num_threads()} threads."


def _processor() -> str:
    facts = Path("/proc/cpuinfo")  # only Linux has it
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]}, {len(named)} logical cores" if named else platform.processor()


if __name__ == "__main__":
    main()
