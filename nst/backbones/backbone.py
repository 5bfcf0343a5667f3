"""A frozen network, built only as deep as the deepest requested layer."""

import copy
from collections.abc import Iterable, Mapping
from itertools import count

import torch
from torch import Tensor, nn

from nst.backbones.layers import resolve
from nst.backbones.networks import architecture
from nst.backbones.scale import fold, multiply, unit_factors
from nst.backbones.weights import find, read
from nst.errors import InputError
from nst.memory.strips import ReceptiveField

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in [0, 1]; torchvision's networks were trained with these."""


class Backbone(nn.Module):
    """Image (B, 3, H, W), RGB in [0, 1] → {layer name: features (B, C, H', W')}; frozen, channels-last.

    name: a key of NETWORKS. layers: canonical names or aliases; `self.layers` holds the canonical names.
    weights: a file with torchvision's tensor names, which may end at the deepest requested layer; None for the
    embedded or official file. `self.weights` is the path of the file in use.
    pooling: "max" or "avg" (Gatys et al. 2016, section 2: average pooling gives slightly more appealing results).
    padding: "zeros" as VGG was trained, or "reflect" or "replicate", which leave no dark border.
    Raises InputError for an unknown name or layer, and for weights that cannot be found or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        layers: Iterable[str],
        weights: str | None = None,
        pooling: str = "max",
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        network = architecture(name).build()
        self._name, self._available = name, tuple(network.reads)
        self.layers = self.canonical(layers)
        self._reads = {layer: network.reads[layer] for layer in self.layers}
        self.mean_activations: dict[str, float] = {}
        """Layer → the mean activation that it was divided by; empty: it is as trained."""
        self._factors: dict[str, float] = {}
        self.features = network.features[: max(self._reads.values(), default=-1) + 1]
        self.taps = nn.ModuleDict({layer: network.taps[layer] for layer in self.layers if layer in network.taps})
        for index, module in enumerate(self.features):
            if isinstance(module, nn.ReLU):
                # an in-place ReLU (torchvision's default) would overwrite the convolution's output, which is read, too
                module.inplace = index - 1 not in self._reads.values()
            if isinstance(module, nn.MaxPool2d):
                # else an odd last row is dropped: deep layers would not see it, and the style had it to itself
                module.ceil_mode = True
                if pooling == "avg":
                    self.features[index] = nn.AvgPool2d(module.kernel_size, module.stride, ceil_mode=True)
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d) and module.padding != (0, 0):
                module.padding_mode = padding  # type: ignore[assignment]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.receptive_fields = self._receptive_fields()
        """Layer → the receptive field of its features, in rows of the image."""
        stride = max((field.stride for field in self.receptive_fields.values()), default=1)
        self.smallest_side = next(side for side in count(stride) if self._fits(side))
        """Side, in pixels, of the smallest square image that the deepest layer can be computed for."""
        self._shapes = (copy.deepcopy(self.features),)  # a tuple hides it from torch: it stays without weights
        self.weights = find(name, weights)
        self._load()
        self.to(memory_format=torch.channels_last).requires_grad_(False).eval()

    def to_unit_scale(self, means: Mapping[str, float]) -> None:
        """Divide each layer by its mean activation over photographs (Gatys et al. 2016, section 2).

        It is folded into the weights; only where layers share a convolution, all but one are multiplied in each pass.
        means: what `mean_activations` gives for the backbone as it was trained.
        Raises InputError for a layer whose mean activation is 0 or not finite.
        """
        factors = unit_factors(means)
        remaining = fold(self.features, self._reads, factors)
        for layer, tap in self.taps.items():
            multiply(tap, remaining.pop(layer), factors[layer])
        self.mean_activations = dict(means)
        self._factors = {layer: factor for layer, factor in remaining.items() if factor != 1}

    def canonical(self, layers: Iterable[str]) -> list[str]:
        """Canonical names of layers of this network, in the given order. Raises InputError for an unknown layer."""
        return resolve(layers, self._available, self._name)

    def sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Layer → (H', W') of its features of an image of this size in pixels."""
        x = torch.empty(1, 3, height, width, device="meta")
        sizes: dict[str, tuple[int, int]] = {}
        for index, module in enumerate(self._shapes[0]):
            x = module(x)
            sizes |= {layer: (x.shape[2], x.shape[3]) for layer, at in self._reads.items() if at == index}
        return sizes

    @property
    def deepest(self) -> str:
        """The deepest requested layer."""
        return max(self.layers, key=self._reads.__getitem__)

    def index_of(self, layer: str) -> int:
        """Index of the module in `features` whose output is the layer."""
        return self._reads[layer]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self._read((image - self.mean) / self.std)

    def _read(self, x: Tensor) -> dict[str, Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)
        outputs = {}
        for index, module in enumerate(self.features):
            x = module(x)
            if index in self._reads.values():
                outputs[index] = x
        features = {
            layer: self.taps[layer](outputs[index]) if layer in self.taps else outputs[index]
            for layer, index in self._reads.items()
        }
        return features | {layer: features[layer] * factor for layer, factor in self._factors.items()}

    def _receptive_fields(self) -> dict[str, ReceptiveField]:
        field, fields = ReceptiveField(), {}
        for index, module in enumerate(self.features):
            for each in module.modules():  # a fire module's 1×1 convolution beside the 3×3 one adds nothing
                if isinstance(each, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                    sizes = (each.kernel_size, each.stride, each.padding)
                    field = field.through(*(size[0] if isinstance(size, tuple) else size for size in sizes))  # type: ignore[arg-type]
            fields[index] = field
        return {layer: fields[index] for layer, index in self._reads.items()}

    def _fits(self, side: int) -> bool:
        """Whether a square image of `side` pixels is large enough. Only while the modules are on the meta device."""
        try:
            self._read(torch.empty(1, 3, side, side, device="meta"))
        except RuntimeError:  # the padding exceeds the feature map, or the map is empty
            return False
        return True

    def _load(self) -> None:
        path, given, wanted = self.weights, read(self.weights), self.state_dict()
        missing = [key for key in wanted if key not in given]
        if missing:
            raise InputError(
                f"{path} does not reach {self.deepest} of {self._name}: it lacks {missing[0]}, the first of "
                f"{len(missing)} missing tensors (names as in torchvision's checkpoints)"
            )
        for key, tensor in wanted.items():
            if given[key].shape != tensor.shape:
                raise InputError(
                    f"{path} is not a checkpoint of {self._name}: {key} has shape "
                    f"{tuple(given[key].shape)}, expected {tuple(tensor.shape)}"
                )
        self.load_state_dict({key: given[key].float() for key in wanted}, assign=True)
