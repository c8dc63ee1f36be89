"""The architectures of the zoo: how each is built, and what it is fed. Weights are random; nothing is downloaded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import zoo_own
from torch import nn
from torch.utils._pytree import tree_leaves

Shape = tuple[int, ...]
Built = tuple[nn.Module, tuple[Shape, ...]]
Builder = Callable[[], Built]

_TORCHVISION = {  # name: pixels
    "alexnet": 224,
    "vgg11_bn": 224,
    "vgg16": 224,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "wide_resnet50_2": 64,
    "densenet121": 64,
    "squeezenet1_0": 64,
    "squeezenet1_1": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "mobilenet_v3_large": 64,
    "shufflenet_v2_x0_5": 64,
    "mnasnet0_5": 64,
    "googlenet": 64,
    "inception_v3": 96,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
    "swin_t": 64,
    "swin_v2_t": 64,
    "maxvit_t": 224,
}
_SEGMENTATION = {"fcn_resnet50": 64, "deeplabv3_resnet50": 64, "lraspp_mobilenet_v3_large": 64}
_VIDEO = {"r3d_18": (8, 48), "mc3_18": (8, 48), "r2plus1d_18": (8, 48)}  # frames, pixels
_TIMM = {
    "coat_lite_tiny": 224,
    "coatnet_pico_rw_224": 224,
    "convit_tiny": 224,
    "convmixer_768_32": 56,
    "convnextv2_atto": 64,
    "convnextv2_femto": 64,
    "cpubone_t0": 64,
    "cs3darknet_focus_s": 64,
    "cs3se_edgenet_x": 64,
    "csatv2": 256,
    "cspdarknet53": 64,
    "cspnext_s": 64,
    "davit_tiny": 64,
    "densenet264d": 64,
    "densenetblur121d": 64,
    "dla34": 64,
    "dla46x_c": 64,
    "dm_nfnet_f0": 64,
    "dpn68": 64,
    "eca_botnext26ts_256": 256,
    "eca_resnet33ts": 64,
    "ecaresnet26t": 64,
    "edgenext_xx_small": 64,
    "efficientformer_l1": 224,
    "efficientformerv2_s0": 224,
    "efficientnet_b0_g8_gn": 64,
    "efficientnet_es": 64,
    "efficientvim_m1": 64,
    "efficientvit_b0": 64,
    "efficientvit_m0": 224,
    "ese_vovnet19b_dw": 64,
    "ese_vovnet39b_evos": 64,
    "fasternet_t0": 64,
    "fastvit_sa12": 64,
    "fastvit_t8": 64,
    "fbnetc_100": 64,
    "fbnetv3_b": 64,
    "focalnet_tiny_srf": 64,
    "gcresnet50t": 64,
    "gcvit_xxtiny": 224,
    "gernet_s": 64,
    "ghostnet_100": 64,
    "ghostnetv2_100": 64,
    "ghostnetv3_100": 64,
    "halonet26t": 256,
    "haloregnetz_b": 224,
    "hardcorenas_a": 64,
    "hgnet_tiny": 64,
    "hgnetv2_b0": 64,
    "hiera_tiny_224": 224,
    "hrnet_w18_small": 64,
    "iformer_t": 64,
    "inception_next_tiny": 64,
    "inception_resnet_v2": 96,
    "inception_v4": 96,
    "lambda_resnet26t": 64,
    "lamhalobotnet50ts_256": 256,
    "lcnet_050": 64,
    "lcnetv2_small": 64,
    "legacy_senet154": 64,
    "legacy_seresnext26_32x4d": 64,
    "legacy_xception": 71,
    "levit_128s": 224,
    "lowformer_b0": 64,
    "mambaout_femto": 64,
    "mixer_s32_224": 224,
    "mixnet_s": 64,
    "mixnet_xl": 64,
    "mobilenet_edgetpu_v2_xs": 64,
    "mobilenetv3_rw": 64,
    "mobilenetv4_conv_small": 64,
    "mobilenetv4_hybrid_medium": 64,
    "mobilenetv5_300m": 64,
    "mobileone_s0": 64,
    "mobileone_s4": 64,
    "mobilevit_xs": 64,
    "mobilevitv2_050": 64,
    "mvitv2_tiny": 224,
    "nasnetalarge": 96,
    "nest_tiny": 224,
    "nextvit_small": 64,
    "nf_ecaresnet26": 64,
    "nf_resnet26": 64,
    "pit_xs_224": 224,
    "pnasnet5large": 96,
    "poolformer_s12": 64,
    "pvt_v2_b0": 64,
    "rdnet_tiny": 64,
    "regnetv_040": 64,
    "regnetz_005": 64,
    "regnetz_b16": 64,
    "repghostnet_050": 64,
    "repvgg_a0": 64,
    "repvgg_d2se": 64,
    "repvit_m0_9": 64,
    "res2net50_26w_4s": 64,
    "res2next50": 64,
    "resnest14d": 64,
    "resnet18d": 64,
    "resnet32ts": 64,
    "resnet50_gn": 64,
    "resnetblur50": 64,
    "resnetrs50": 64,
    "resnetv2_50d_evos": 64,
    "resnetv2_50x1_bit": 64,
    "rexnet_100": 64,
    "sebotnet33ts_256": 256,
    "selecsls42b": 64,
    "selecsls60b": 64,
    "sequencer2d_s": 224,
    "seresnextaa101d_32x8d": 64,
    "shvit_s1": 64,
    "skresnet18": 64,
    "skresnext50_32x4d": 64,
    "spnasnet_100": 64,
    "starnet_s1": 64,
    "swiftformer_xs": 224,
    "test_efficientnet_evos": 64,
    "tf_efficientnet_b0": 64,
    "tf_efficientnet_cc_b0_4e": 64,
    "tf_mobilenetv3_small_minimal_100": 64,
    "tiny_vit_5m_224": 224,
    "tinynet_e": 64,
    "tnt_s_patch16_224": 224,
    "tresnet_m": 64,
    "tresnet_v2_l": 64,
    "twins_svt_small": 64,
    "visformer_tiny": 224,
    "vit_tiny_r_s16_p8_224": 224,
    "vitamin_small_224": 224,
    "volo_d1_224": 224,
    "xception41": 64,
    "xcit_tiny_12_p16_224": 224,
}
_HALVED = frozenset(
    {
        "timm/efficientformerv2_s0",
        "timm/efficientvit_m0",
        "timm/ghostnetv3_100",
        "timm/iformer_t",
        "timm/lamhalobotnet50ts_256",
        "timm/legacy_senet154",
        "timm/mobileone_s4",
        "timm/shvit_s1",
        "timm/starnet_s1",
        "timm/visformer_tiny",
    }
)
"""Half the weights, where rounding errors would grow with depth: maps that multiply each other, very many branches."""


class Flat(nn.Module):
    """A network whose outputs, in dictionaries or lists, become a tuple of tensors."""

    def __init__(self, net: nn.Module, **options: Any) -> None:
        super().__init__()
        self.net, self.options = net, options

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All tensors that the network gives."""
        return tuple(t for t in tree_leaves(self.net(*inputs, **self.options)) if isinstance(t, torch.Tensor))


@functools.cache
def torchvision() -> Any:
    """The package, also where its compiled operators are missing: none of these networks calls one."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision as package  # noqa: PLC0415 - only importable once its operators are declared

    torchvision.library = library  # its definitions end with it
    return package


def _model(name: str, pixels: int) -> Built:
    options = {"image_size": pixels} if name == "vit_b_16" else {}
    if name == "maxvit_t":
        options = {"input_size": (pixels, pixels)}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False}
    return torchvision().models.get_model(name, weights=None, **options), ((1, 3, pixels, pixels),)


def _vit() -> Built:
    net = torchvision().models.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64
    )
    return net, ((1, 3, 64, 64),)


def _segmentation(name: str, pixels: int) -> Built:
    net = torchvision().models.get_model(name, weights=None, weights_backbone=None)
    return net, ((1, 3, pixels, pixels),)


def _video(name: str, frames: int, pixels: int) -> Built:
    return torchvision().models.get_model(name, weights=None), ((1, 3, frames, pixels, pixels),)


def _raft() -> Built:
    net = torchvision().models.optical_flow.raft_small(weights=None)
    return Flat(net, num_flow_updates=2), ((1, 3, 128, 128),) * 2


def _ssdlite_backbone() -> Built:
    net = torchvision().models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    return net.backbone, ((1, 3, 96, 96),)


def _ssd_backbone() -> Built:
    net = torchvision().models.detection.ssd300_vgg16(weights=None, weights_backbone=None)
    return net.backbone, ((1, 3, 300, 300),)


def _retinanet_backbone() -> Built:
    net = torchvision().models.detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None)
    return net.backbone, ((1, 3, 64, 64),)


def _timm(name: str, pixels: int) -> Built:
    torchvision()
    import timm  # noqa: PLC0415 - takes seconds, and needs torchvision declared before

    return timm.create_model(name, pretrained=False), ((1, 3, pixels, pixels),)


def zoo() -> dict[str, Builder]:
    """Every architecture by name."""
    partial = functools.partial
    return (
        {name: partial(_model, name, pixels) for name, pixels in _TORCHVISION.items()}
        | {name: partial(_segmentation, name, pixels) for name, pixels in _SEGMENTATION.items()}
        | {name: partial(_video, name, *size) for name, size in _VIDEO.items()}
        | {
            "vit": _vit,
            "raft_small": _raft,
            "ssdlite_backbone": _ssdlite_backbone,
            "ssd300_vgg16_backbone": _ssd_backbone,
            "retinanet_backbone": _retinanet_backbone,
        }
        | {f"timm/{name}": partial(_timm, name, pixels) for name, pixels in _TIMM.items()}
        | {f"own/{name}": partial(_own, kind, shapes) for name, (kind, shapes) in zoo_own.NETS.items()}
    )


def _own(kind: Callable[[], nn.Module], shapes: Sequence[Shape]) -> Built:
    return kind(), tuple(shapes)


def build(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """An architecture in evaluation mode with random weights, and random inputs; the same ones every time."""
    torch.manual_seed(0)
    net, shapes = zoo()[name]()
    net = net if isinstance(net, Flat) else Flat(net)
    net.eval()
    randomise(net, 0.5 if name in _HALVED else 1.0)
    return net, tuple(torch.randn(shape) for shape in shapes)


@torch.no_grad()
def randomise(net: nn.Module, gain: float) -> None:
    """He-like weights times `gain`, and every normalisation away from the identity, so that a forgotten one shows."""
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        leaf = name.rpartition(".")[2]
        if not tensor.is_floating_point():
            continue
        if leaf == "running_mean" or "bias" in leaf:
            tensor.normal_(0, 0.2)
        elif leaf == "running_var":
            tensor.uniform_(0.5, 1.5)
        elif leaf == "weight" and tensor.ndim >= 2:
            tensor.normal_(0, gain * (2 / tensor[0].numel()) ** 0.5)
        elif isinstance(tensor, nn.Parameter) and tensor.ndim <= 1:
            tensor.uniform_(0.4, 1.2)  # gamma, layer scale, gain
