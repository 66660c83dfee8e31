"""The settings of a run, section by section: their types, defaults, ranges and meanings.

Terms are those of the paper: HR is the image at full size, LR the reduced input, w1 and w2 the loss weights. A default
never changes once runs exist (see `config`): profiles and arms are the place for other values.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from dsrl_lib.allowed import (
    FolderName,
    above,
    at_least,
    between,
    checksum,
    class_numbers,
    from_to_below,
    one_of,
)
from dsrl_lib.registry import HOSTS
from dsrl_lib.section import Section

Pixels = Annotated[int, at_least(1)]
Probability = Annotated[float, between(0, 1)]
Weight = Annotated[float, at_least(0)]
Share = Annotated[float, between(0, 1000)]
Classes = Annotated[str, class_numbers()]


@dataclass(frozen=True)
class Data(Section):
    """Which frames, and the one geometry that makes LR input, HR image and HR labels from them."""

    dataset: Annotated[str, FolderName()] = "streets"
    """One of `datasets()`."""
    height: Pixels = 128
    """HR height in pixels: frames are brought to height x width before anything else. A frame of another aspect than
    the data set has, or of a data set with many sizes, keeps its aspect (`transforms.frame_size`)."""
    width: Pixels = 256
    """HR width in pixels. For a data set with many sizes it is the width at which costs are measured."""
    crop_height: Pixels = 128
    """Training crop in HR pixels."""
    crop_width: Pixels = 256
    scale_min: Annotated[float, above(0)] = 1.0
    """The frame is scaled by a factor from [scale_min, scale_max] before the crop."""
    scale_max: Annotated[float, above(0)] = 1.6
    flip: Probability = 0.5
    """Probability of a horizontal flip."""
    colour: Annotated[float, between(0, 10)] = 0.2
    """Strength of the brightness, contrast and saturation jitter."""
    hue: Annotated[float, between(0, 0.5)] = 0.0
    """The hue turns by a share of the colour circle from [-hue, hue]."""
    grey: Probability = 0.0
    """Probability of a grey image."""
    blur: Probability = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[float, at_least(0.15)] = 1.3
    """The blur's sigma is drawn from [0.15, blur_sigma] HR pixels."""
    rotation: Annotated[float, between(0, 180)] = 0.0
    """The crop is turned about its centre by an angle from [-rotation, rotation] degrees."""
    padding: Literal["mean", "black"] = "mean"
    """The colour outside the frame, where a crop is larger or turned: the mean of ImageNet, or black as in the earlier
    systems. The labels there are void."""
    class_uniform: Annotated[float, between(0, 1)] = 0.0
    """Share of an epoch's samples that are drawn by class, equally many for each class (Zhu et al. 2019); their crops
    contain a pixel of the class. 0: every frame once."""
    class_tile: Pixels = 1024
    """Side of the square tiles of a stored frame, in each of which one pixel of a class is known."""
    boost_dataset: str = ""
    """Coarse boost: a coarsely labelled data set whose training frames are drawn too, for boost_classes."""
    boost_classes: Classes = ""
    boost_epochs: Annotated[int, at_least(0)] = 0
    """Epochs with the coarse boost, counted from the first of the runs that this one continues; 0: all."""


_PRETRAINED = tuple(dict.fromkeys(("none", *(name for host in HOSTS.values() for name in host.weights))))


@dataclass(frozen=True)
class Model(Section):
    """The host and what DSRL adds to it (paper, Sec. 3)."""

    host: Annotated[str, one_of(HOSTS)] = "espnetv2_s0.5"
    """One of `registry.HOSTS`."""
    pretrained: Annotated[str, one_of(_PRETRAINED)] = "none"
    """Public weights that the host starts from, as its entry in the registry names them."""
    start: Annotated[str, checksum()] = "none"
    """SHA-256 of the file of weights that the run starts from, as `train --start` finds it (`training.start`). A run
    that starts from another run (`warm_start`) names the file with which the first of these runs began."""
    input_scale: Annotated[float, above(0)] = 0.5
    """Input side / HR side: 0.5 is LR, 1.0 is HR."""
    sssr: bool = False
    """Learned upsampling to 2x the input; without it logits are resized bilinearly."""
    sssr_head: Literal["deconv", "subpixel"] = "deconv"
    """The released head (two deconvolutions on the class map), or a sub-pixel convolution."""
    sssr_start: Literal["bilinear", "random"] = "bilinear"
    """Whether the SSSR head starts as bilinear interpolation or at random."""
    sssr_norm: Literal["start", "batch", "none"] = "start"
    """Whether batch norms follow the deconvolutions. "start": after a random start alone, where PReLUs then start with
    slope 0.25 instead of 1; "batch", "none": always or never, with slope 1."""
    sisr: bool = False
    sisr_frozen: bool = False
    """SISR head and FTM stay at their random start (a widely copied bug)."""
    sisr_residual: bool = False
    """The SISR head learns the detail that bicubic upsampling of the input lacks, from zero, instead of the image."""
    sisr_taps: Literal["deep", "stride2", "input"] = "deep"
    """What the SISR head sees besides the maps at stride 4 and deeper: the host's map at stride 2, or the input."""
    sisr_decoder: Literal["espcn", "edsr"] = "espcn"
    """Two convolutions, or four residual blocks between them."""
    fa: bool = False
    fa_placement: Literal["features", "output"] = "features"
    ftm: Literal["keep", "to3", "none"] = "keep"
    frozen_bn: bool = False
    """Batch norms keep the statistics, scales and shifts that they start with."""
    sync_bn: bool = False
    """Batch norms over the samples of all processes, where several train one run."""


@dataclass(frozen=True)
class Downsampling(Section):
    """Adaptive downsampling (Marin et al., ICCV 2019): the host sees samples of the frame, and its scores go back.

    The samples are as many as the input has pixels (`Model.input_scale`), and the loss is taken at HR.
    """

    locations: Literal["none", "uniform", "mean", "predicted", "oracle", "jitter"] = "none"
    """Where the frame is sampled. none: nowhere, it is reduced evenly and this section does nothing. uniform: on a
    regular grid. mean: on one grid, the mean over the training frames. predicted: by the auxiliary network. oracle: as
    solved from the true labels, also in evaluation. jitter: at random shifts as large as those of the oracle."""
    rows: Annotated[int, between(2, 512)] = 8
    """Nodes of the grid whose locations are solved or predicted; bilinear interpolation gives one for each sample. Time
    grows with their third power."""
    columns: Annotated[int, between(2, 512)] = 8
    classes: Classes = ""
    """The boundary pixels of these classes alone are sampled densely; empty: those of all classes."""
    lam: Annotated[float, above(0)] = 1.0
    """lambda of the energy: the smoothness of the grid. It reaches sqrt(lam) cells of rows x columns."""
    filter: Literal["footprint", "bilinear", "nearest"] = "footprint"
    """A sample is the average over its footprint, a bilinear interpolation, or a single pixel."""
    swapped: bool = False
    """Control: each frame is sampled at the locations of another frame."""
    stage: Literal["host", "locations"] = "host"
    """What is trained: the host on the sampled frame, or the auxiliary network alone."""


@dataclass(frozen=True)
class Loss(Section):
    """L = CE + w1 * MSE + w2 * FA (paper, Eq. 4)."""

    train_labels: Literal["hr", "lr"] = "hr"
    w1: Weight = 0.1
    w2: Weight = 1.0
    share_sisr: Share = 0.0
    """The gradient of w1 * MSE on the shared encoder as a share of CE's at the start of the run (1: as large). It
    replaces w1 by what gives this share (`training.calibration`); 0: w1 as it is."""
    share_fa: Share = 0.0
    """The same for FA and w2."""
    fa_form: Literal["paper", "sanje2v", "dootmaan"] = "paper"
    """The paper's FA, or what one of the two public reimplementations released (`feature_affinity_released`)."""
    fa_normalise: bool = True
    fa_q: Literal[1, 2] = 1
    fa_stride: Pixels = 8
    """FA tokens are averages over fa_stride x fa_stride HR pixels."""
    sisr_target: Literal["image", "noise"] = "image"
    segmentation: Literal["ce", "focal", "ohem", "relaxed", "boundary"] = "ce"
    """Cross entropy, focal loss, cross entropy over hard examples alone, label relaxation (Zhu et al. 2019), or cross
    entropy with weight 2 on thick boundaries."""
    class_weights: Literal["none", "frequency", "image", "batch"] = "none"
    """Of the cross entropy: from the frequencies of the classes in the training split, or from their shares in each
    image or batch, 1 + class_bound (1 - share), where the loss is a mean over the images (Zhu et al. 2019)."""
    class_bound: Weight = 1.0
    relax_border: Annotated[int, at_least(0)] = 1
    """Label relaxation: the classes at most this many rows and columns away are right too."""
    relax_strict: Classes = ""
    """Classes whose own pixels keep their one label."""
    relax_void_joins: bool = True
    """Void pixels beside a class take part with the classes of their window, as in the released code."""
    relax_upper_bound: Weight = 0.0
    """b > 0: class weights 1 + b (1 - share of the class); 0: none."""
    relax_weights_over: Literal["image", "batch"] = "image"
    """Whether the shares of the classes are those in the image or in the whole batch."""
    relax_epochs: Annotated[int, at_least(0)] = 0
    """Epochs of label relaxation, counted from the first of the runs that this one continues; then the loss is that of
    segmentation = "boundary". 0: all epochs."""
    relax_control: Literal["none", "moved", "void"] = "none"
    """Controls: border pixels keep their labels, and pixels elsewhere are relaxed; or border pixels are left out."""


@dataclass(frozen=True)
class Optim(Section):
    """The optimiser, and one learning-rate schedule over all stages, updated at each step."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    nesterov: bool = False
    """SGD only: Nesterov momentum."""
    amsgrad: bool = False
    """Adam and AdamW only: AMSGrad, the largest second moment so far instead of the present one."""
    lr: Annotated[float, above(0)] = 1e-3
    lr_end: Annotated[float, at_least(0)] = 0.0
    """What lr falls to: lr_end + (lr - lr_end) times the factor of the schedule."""
    schedule: Literal["poly", "cosine", "step", "poly_restart"] = "poly"
    """How lr falls: (1 - t)^power, half a cosine, or to a tenth after each third of the schedule. "poly_restart" starts
    again from lr after loss.relax_epochs, with restart_power: the switch-off schedule of Zhu et al. (2019)."""
    restart_power: Annotated[float, at_least(0)] = 1.5
    restart_factor: Annotated[float, above(0)] = 1.0
    """Of lr, where "poly_restart" starts again."""
    weight_decay: Annotated[float, at_least(0)] = 1e-2
    momentum: Annotated[float, from_to_below(0, 1)] = 0.9
    """SGD only."""
    power: Annotated[float, at_least(0)] = 0.9
    batch_size: Annotated[int, at_least(1)] = 8
    epochs: Annotated[int, at_least(1)] = 30
    schedule_epochs: Annotated[int, at_least(0)] = 0
    """Epochs over which lr falls, counted from the first of the runs that this one continues; 0: its own epochs.
    The study makes it the epochs of all three stages, for every arm."""
    stage_epochs: Annotated[int, at_least(0)] = 0
    """The optimiser starts afresh after so many epochs, as it does where a stage ends; 0: never."""
    sisr_warmup: Annotated[int, at_least(0)] = 0
    """Epochs at the start in which the SISR head trains on features that its loss does not change."""
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    validate_every: Annotated[int, at_least(1)] = 5
    """Epochs between validations on the val split; the last epoch is always validated."""
    patience: Annotated[int, at_least(0)] = 0
    """Early stopping: the run ends after so many validations in a row without a higher mIoU; 0: never."""
