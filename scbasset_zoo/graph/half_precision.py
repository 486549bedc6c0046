"""Converts a graph to float16, for GPUs: the layers up to the last convolution. The layers after it stay float32."""

from __future__ import annotations

import onnx

from scbasset_zoo.graph.model_proto import inputs_of
from scbasset_zoo.graph.plain_run import import_onnxruntime

_AFTER = "_in_float32"


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that keeps the weights and activations of its layers in float16, up to the last convolution.

    The layers after it, inputs and outputs stay float32. Each weight and each activation before is rounded to 11 bits, a
    relative error of up to 0.05 %, and numbers beyond 65,504 become 65,504. cuDNN adds the products of a convolution in float32.
    The largest part of a scBasset trunk's time is spent before the last convolution; the dense layer behind it would add the
    largest rounding errors of all.

    Parameters
    ----------
    model : onnx.ModelProto
        It is not changed. Without a convolution, the result equals it.

    Raises
    ------
    DeviceError
        No ONNX Runtime is installed.
    """
    import_onnxruntime()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    nodes = list(model.graph.node)  # in the order in which they run
    n_before = max((i + 1 for i, node in enumerate(nodes) if node.op_type == "Conv"), default=0)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if n_before == 0:
        return result
    before, after = nodes[:n_before], nodes[n_before:]
    read_before, read_after = ({name for node in part for name in inputs_of(node)} for part in (before, after))
    handed_over = [name for node in before for name in node.output if name in read_after]
    outputs_of_before = [output for output in model.graph.output if any(output.name in node.output for node in before)]
    kinds = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    ends = [kinds[name] for name in handed_over if name in kinds] + outputs_of_before

    _replace(result.graph.node, before)
    _replace(result.graph.output, ends)
    _replace(result.graph.value_info, [])
    _replace(result.graph.initializer, [tensor for tensor in model.graph.initializer if tensor.name in read_before])
    # The tool could keep layers in float32 itself, but would round what each of them hands to the next.
    result = convert_float_to_float16(result, keep_io_types=True)

    # Weights that both parts read are there twice, once rounded.
    shared = {tensor.name for tensor in model.graph.initializer} & read_before & read_after
    for node in after:
        copy = result.graph.node.add()
        copy.CopyFrom(node)
        _replace(copy.input, [name + _AFTER if name in shared else name for name in node.input])
    for tensor in model.graph.initializer:
        if tensor.name in read_after:
            copy = result.graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name += _AFTER if tensor.name in shared else ""
    _replace(result.graph.output, list(model.graph.output))
    return result


def _replace(repeated, values) -> None:  # type: ignore[no-untyped-def]  # protobuf's containers have no public type
    """Replace what a repeated field of a message holds."""
    del repeated[:]
    repeated.extend(values)
