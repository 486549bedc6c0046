"""The ONNX operators that a package's network may use."""

from __future__ import annotations

# The operators of feed-forward networks. Loops, random numbers and operators that make large tensors out of small ones are missing
# on purpose.
OPERATORS = frozenset(
    """Abs Add And AveragePool BatchNormalization Cast Celu Clip Concat Constant Conv Div Dropout Elu Equal Erf Exp Flatten Floor
    Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu
    Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceProd ReduceSum Relu Reshape Round Selu Shape Sigmoid Sign Slice
    Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where""".split()  # noqa: SIM905  a table of words
)
