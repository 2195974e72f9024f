"""How a campaign file describes a model: one section per kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from configs.sections import Digest, Section, Slug


class Network(Section):
    """What every model spec says: how an image goes in and how a map comes out."""

    name: Slug = Field(description="Name of the model in records and reports.")
    digest: Digest | None = Field(default=None, description="SHA-256 the weight file must have.")
    input_size: tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]] | None = (
        Field(
            default=None,
            description="Height and width in pixels the network sees; default: the image's own size.",
        )
    )
    resampler: Literal["bilinear", "bicubic", "area", "nearest"] = Field(
        default="bilinear", description="Interpolation of the input image."
    )
    antialias: bool = Field(
        default=True, description="Low-pass before shrinking (as torchvision and Pillow do)."
    )
    mean: tuple[float, float, float] = Field(
        default=(0.485, 0.456, 0.406), description="Per channel, of RGB scaled to 0..1."
    )
    std: tuple[float, float, float] = Field(
        default=(0.229, 0.224, 0.225), description="Per channel, of RGB scaled to 0..1."
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="For one sigmoid channel: probability from which a pixel is class 1.",
    )
    class_map: dict[int, str] | None = Field(
        default=None,
        description="Output channel -> class name of the campaign, for a model of another label set; "
        "channels that are not named become void.",
    )


class SmpFolder(Network):
    """A directory in segmentation-models-pytorch's `from_pretrained` format, or (by a switch) a hub id."""

    kind: Literal["smp_folder"] = "smp_folder"
    path: str = Field(description="Directory with config.json and model.safetensors, or a hub id.")
    from_hub: bool = Field(default=False, description="Whether `path` is a hub id that may be downloaded.")


class SmpStateDict(Network):
    """A segmentation-models-pytorch architecture and encoder with a state dict beside it."""

    kind: Literal["smp_state_dict"] = "smp_state_dict"
    architecture: str = Field(description="smp architecture, e.g. unet, fpn, deeplabv3plus.")
    encoder: str = Field(description="smp encoder name, e.g. resnet18 or tu-mobilenetv3_small_050.")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Further keyword arguments of the network."
    )
    weights: Path = Field(description="State dict: .safetensors, or .pt read with weights_only=True.")


class Torchvision(Network):
    """A segmentation network of torchvision with a state dict, or with weights that torchvision publishes.

    Its auxiliary head, which only helps to train from scratch, is left away.
    """

    kind: Literal["torchvision"] = "torchvision"
    architecture: Literal[
        "deeplabv3_mobilenet_v3_large",
        "deeplabv3_resnet50",
        "deeplabv3_resnet101",
        "fcn_resnet50",
        "fcn_resnet101",
        "lraspp_mobilenet_v3_large",
    ] = Field(description="Name of the network in torchvision.models.segmentation.")
    weights: Path | None = Field(
        default=None, description="State dict: .safetensors, or .pt/.pth read with weights_only=True."
    )
    published: Literal["COCO_WITH_VOC_LABELS_V1"] | None = Field(
        default=None,
        description="Weights that torchvision publishes: taken from torch hub's folder, or else downloaded.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.weights is None) == (self.published is None):
            raise ValueError("give `weights` (a file) or `published` (a name), one of the two")
        return self


class HuggingFace(Network):
    """A folder with a semantic-segmentation checkpoint of `transformers`, as SegFormer; an optional extra."""

    kind: Literal["huggingface"] = "huggingface"
    path: Path = Field(description="Folder with config.json and model.safetensors.")


class Onnx(Network):
    """An ONNX file; it can compete, or be a target that is not repaired."""

    kind: Literal["onnx"] = "onnx"
    path: Path = Field(description="One .onnx file with its weights inside.")
    output: str | None = Field(
        default=None, description="Name of the output that holds the logits; needed if there are several."
    )


class LabelMaps(Section):
    """A folder of finished label maps, for a model that runs elsewhere."""

    kind: Literal["label_maps"] = "label_maps"
    name: Slug = Field(description="Name of the model in records and reports.")
    path: Path = Field(description="Folder of index PNGs: <SHA-256 of the image file>.png or <stem>.png.")
    void: int | None = Field(default=255, ge=0, le=255, description="Index that means 'ignore'.")


TrainableSpec = SmpFolder | SmpStateDict | Torchvision | HuggingFace
NetworkSpec = TrainableSpec | Onnx
ModelSpec = Annotated[NetworkSpec | LabelMaps, Field(discriminator="kind")]
MODEL_KINDS = ("smp_folder", "smp_state_dict", "torchvision", "huggingface", "onnx", "label_maps")


def can_be_trained(spec: Section) -> bool:
    """Whether the weights of the model can be fine-tuned here; if not, a campaign can only mine with it."""
    return isinstance(spec, TrainableSpec)
