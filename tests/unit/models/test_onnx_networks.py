"""ONNX files: the same logits as torch's, and a clear refusal of every other file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from configs.model_specs import Onnx
from models.inference import InputImage, predict
from models.onnx_networks import OnnxNetwork
from models.preprocess import to_input
from models.weights import model_digest
from models.zoo import build_network, load_model
from tasks.errors import DataError
from tests.lib.small_networks import onnx_file, small_network

NAMES = ("sky", "road", "car")
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
INPUT = InputImage(IMAGE, "0" * 64, "frame")


@pytest.mark.parametrize("is_fixed", [True, False])
def test_logits_are_those_of_torch(tmp_path: Path, is_fixed: bool) -> None:
    network = small_network()
    path = onnx_file(network, tmp_path / "net.onnx", (48, 64), is_fixed=is_fixed)
    spec = Onnx(name="m", path=path, input_size=(48, 64))
    model = load_model(spec, NAMES)
    inputs = to_input(IMAGE, spec)
    with torch.inference_mode():
        expected = network(inputs)
    torch.testing.assert_close(expected, model.engine.logits(inputs), rtol=1e-4, atol=1e-4)
    result = predict(model, INPUT, height=24, width=32)
    resized = torch.nn.functional.interpolate(
        model.engine.logits(inputs), (24, 32), mode="bilinear", align_corners=False
    )
    assert result.label_map.tolist() == resized[0].argmax(0).tolist()
    assert 0 < result.entropy_mean < 1.2


def test_a_divisor_pads_and_cuts_again(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=True)
    graph = OnnxNetwork(path.read_bytes(), 1, divisor=16)
    assert (graph.channels, graph.input_size, graph.divisor) == (3, (48, 64), 16)
    assert tuple(graph.logits(torch.zeros(1, 3, 41, 63)).shape) == (1, 3, 41, 63)


def test_logits_do_not_depend_on_the_file_or_bytes_it_came_from(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=True)
    inputs = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, 48, 64)).astype(np.float32))
    assert torch.equal(OnnxNetwork(path).forward(inputs), OnnxNetwork(path.read_bytes()).forward(inputs))


def test_a_graph_of_one_size_needs_that_input_size(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=True)
    for size in (None, (64, 64)):
        with pytest.raises(DataError, match=r"Set `input_size: \[48, 64\]`"):
            load_model(Onnx(name="m", path=path, input_size=size), NAMES)


def test_an_onnx_file_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"kind `onnx`.* not trained.* `repair: false`"):
        build_network(Onnx(name="m", path=tmp_path / "net.onnx"))


def test_other_classes_and_another_digest_are_refused(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=False)
    with pytest.raises(DataError, match=r"gives 3 channel\(s\), but the campaign has 4"):
        load_model(Onnx(name="m", path=path), (*NAMES, "tree"))
    with pytest.raises(DataError, match="needs weights with SHA-256 0000"):
        load_model(Onnx(name="m", path=path, digest="0" * 64), NAMES)
    with pytest.raises(DataError, match=r"needs the file .*gone\.onnx"):
        load_model(Onnx(name="m", path=tmp_path / "gone.onnx"), NAMES)
    with pytest.raises(DataError, match=r"An ONNX file was required at .*gone\.onnx"):
        OnnxNetwork(tmp_path / "gone.onnx")


def _graph(
    input_shape: list[object],
    output_shape: list[object],
    *,
    kind: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("logits",),
) -> bytes:
    """An ONNX file whose outputs are its input."""
    image = helper.make_tensor_value_info("image", kind, input_shape)
    nodes = [helper.make_node("Identity", ["image"], [name]) for name in outputs]
    infos = [helper.make_tensor_value_info(name, kind, output_shape) for name in outputs]
    graph = helper.make_graph(nodes, "g", [image], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_graph([1, 48, 64, 3], [1, 48, 64, 3]), "one input is required"),
        (_graph([1, 1, "h", "w"], [1, 1, "h", "w"]), "one input is required"),
        (_graph([4, 3, "h", "w"], [4, 3, "h", "w"]), "one input is required"),
        (_graph([1, 3, "h", "w"], [1, 3, "h", "w"], kind=TensorProto.FLOAT16), "one input is required"),
        (_graph([1, 3, "h", "w"], [1, 3, "h", "w"], outputs=("a", "b")), r"outputs \['a', 'b'\]"),
    ],
)
def test_a_graph_of_other_inputs_or_outputs_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        OnnxNetwork(content)


def test_the_output_with_the_logits_can_be_named(tmp_path: Path) -> None:
    content = _graph([1, 3, "h", "w"], [1, 3, "h", "w"], outputs=("a", "b"))
    assert OnnxNetwork(content, output="b").channels == 3
    with pytest.raises(DataError, match="`output` must name the one"):
        OnnxNetwork(content, output="c")
    (tmp_path / "net.onnx").write_bytes(content)
    spec = Onnx(name="m", path=tmp_path / "net.onnx", output="a")
    other = spec.model_copy(update={"output": "b"})
    assert model_digest(spec, NAMES) != model_digest(other, NAMES)


def test_open_channels_are_counted_by_running_the_graph() -> None:
    assert OnnxNetwork(_graph(["n", "c", "h", "w"], ["n", "c", "h", "w"])).channels == 3


def test_labels_instead_of_logits_are_refused() -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    labels = helper.make_tensor_value_info("labels", TensorProto.INT64, [1, 1, "h", "w"])
    node = helper.make_node("ArgMax", ["image"], ["labels"], axis=1)
    graph = helper.make_graph([node], "g", [image], [labels])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(DataError, match="before any argmax"):
        OnnxNetwork(model.SerializeToString())


def test_a_newer_opset_than_the_runtime_knows_is_refused() -> None:
    model = onnx.load_from_string(_graph([1, 3, "h", "w"], [1, 3, "h", "w"]))
    model.opset_import[0].version = 999
    with pytest.raises(DataError, match=r"ONNX Runtime .* refuses this one"):
        OnnxNetwork(model.SerializeToString())


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=True)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0)
    with pytest.raises(DataError, match=r"onnx\.save\(onnx\.load\(path\), path\)"):
        OnnxNetwork(path)


_FUZZ = """
import sys
import numpy as np
from pathlib import Path
from models.onnx_networks import OnnxNetwork
from tasks.errors import DataError
content = Path(sys.argv[1]).read_bytes()
rng = np.random.default_rng(5)
loaded = refused = 0
for number in range(150):
    damaged = bytearray(content)
    if number % 3 == 0:
        damaged = damaged[: int(rng.integers(len(damaged)))]
    else:
        # the names and shapes of a graph stand at its ends, its weights in the middle
        reach = 4000 if number % 3 == 1 else len(damaged)
        for position in rng.integers(0, min(reach, len(damaged)), int(rng.integers(1, 9))):
            damaged[int(position)] = int(rng.integers(256))
    try:
        OnnxNetwork(bytes(damaged), 1)
    except DataError:
        refused += 1
    else:
        loaded += 1
print(loaded, refused)
"""


def test_damaged_files_are_refused_and_nothing_crashes(tmp_path: Path) -> None:
    path = onnx_file(small_network(), tmp_path / "net.onnx", (48, 64), is_fixed=True)
    # A process of its own: were the runtime to crash, this test would fail and not end all tests.
    run = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    loaded, refused = map(int, run.stdout.split())
    assert loaded + refused == 150
    assert refused >= 50
    assert run.stderr == "", "nothing is printed beside the error"
