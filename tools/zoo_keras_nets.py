"""The Keras nets of the zoo: what `keras.applications` has, and small ones with what these lack. Weights are random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

Built = tuple[keras.Model, list[np.ndarray]]

_APPLICATIONS = {  # name: pixels
    "VGG16": 32, "ResNet50": 64, "ResNet50V2": 64, "MobileNet": 64, "MobileNetV2": 64, "MobileNetV3Small": 64,
    "EfficientNetB0": 64, "EfficientNetV2B0": 64, "NASNetMobile": 64, "Xception": 96, "DenseNet121": 64,
    "InceptionV3": 96, "ConvNeXtTiny": 64,
}  # fmt: skip
ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "relu": layers.ReLU,
    "relu max 6": lambda: layers.ReLU(max_value=6.0),
    "relu slope": lambda: layers.ReLU(negative_slope=0.1),
    "relu threshold": lambda: layers.ReLU(threshold=0.2),
    "relu max threshold": lambda: layers.ReLU(max_value=1.0, threshold=0.1),
    "relu all": lambda: layers.ReLU(max_value=1.0, threshold=0.1, negative_slope=0.05),
    "leaky": lambda: layers.LeakyReLU(0.2),
    "prelu each": lambda: layers.PReLU(alpha_initializer="random_uniform"),
    "prelu channel": lambda: layers.PReLU(alpha_initializer="random_uniform", shared_axes=[1, 2]),
    "elu 0.7": lambda: layers.ELU(0.7),
    "softmax layer": layers.Softmax,
    **{name: lambda name=name: layers.Activation(name) for name in (
        "relu6", "hard_sigmoid", "hard_silu", "silu", "gelu", "selu", "celu", "elu", "softplus", "softsign", "sigmoid",
        "tanh", "exponential", "mish", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "squareplus",
        "sparse_plus", "sparse_sigmoid", "log_sigmoid", "linear", "softmax")},
    "gelu tanh": lambda: layers.Activation(gelu_tanh),
    "threshold": lambda: layers.Activation(threshold),
}  # fmt: skip


def gelu_tanh(x: Any) -> Any:
    """GELU by its approximation."""
    return keras.activations.gelu(x, approximate=True)


def threshold(x: Any) -> Any:
    """The value where it is above 0.1, else 0."""
    return keras.activations.threshold(x, 0.1, 0.0)


def acts(names: list[str] | None = None) -> keras.Model:
    """One convolution before each activation, side by side."""
    x = layers.Input((16, 16, 3))
    found = []
    for name in names or [a for a in ACTIVATIONS if a not in ("gelu", "celu", "gelu tanh")]:
        y = layers.Conv2D(6, 3, padding="same", name=f"conv_{name.replace(' ', '_')}")(x)
        found.append(layers.GlobalAveragePooling2D()(ACTIVATIONS[name]()(y)))
    return keras.Model(x, layers.Concatenate()(found))


def conv1d() -> keras.Model:
    """Over time: causal, dilated, strided, separable, depthwise, grouped, transposed."""
    x = i = layers.Input((48, 4))
    x = layers.Conv1D(8, 5, padding="causal", activation="relu")(x)
    x = layers.Conv1D(8, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = layers.BatchNormalization()(layers.Conv1D(8, 3, dilation_rate=3, padding="same", use_bias=False)(x))
    x = layers.LeakyReLU()(x)
    x = layers.SeparableConv1D(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2, activation="relu")(x)
    x = layers.Conv1DTranspose(5, 4, strides=2, padding="same", activation="relu")(x)
    return keras.Model(i, layers.GlobalMaxPooling1D()(layers.UpSampling1D(2)(x)))


def conv3d() -> keras.Model:
    """Over volumes."""
    x = i = layers.Input((8, 12, 12, 2))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv3D(6, 3, use_bias=False)(x)))
    x = layers.Conv3D(6, (1, 3, 3), strides=(1, 2, 2), padding="same", activation="relu")(x)
    x = layers.Conv3D(4, 2, dilation_rate=2, padding="same", activation="silu")(x)
    x = layers.Conv3DTranspose(3, 2, strides=2, activation="relu")(x)
    return keras.Model(i, layers.GlobalAveragePooling3D()(layers.AveragePooling3D(2)(x)))


def mixed() -> keras.Model:
    """Of everything that pictures allow."""
    x = i = layers.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, dilation_rate=3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.GroupNormalization(4)(layers.Conv2D(8, 3, padding="same")(x)))
    x = layers.Activation("silu")(layers.LayerNormalization()(layers.Conv2D(8, 3, padding="same")(x)))
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(6, 4, strides=2, padding="valid", activation="relu")(x)
    x = layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2, activation="relu")(x)
    x = layers.SeparableConv2D(4, 3, strides=2, dilation_rate=1, activation="relu")(layers.ZeroPadding2D(1)(x))
    x = layers.SpatialDropout2D(0.3)(layers.Conv2D(4, 3, name="dropped")(x))
    x = layers.Cropping2D(1)(layers.ReLU()(x))
    return keras.Model(i, layers.Softmax()(layers.Conv2D(3, 1)(x)))


def grouped() -> keras.Model:
    """Groups, which TensorFlow has on CPUs only as compiled."""
    x = i = layers.Input((16, 16, 4))
    x = layers.Conv2D(8, 3, groups=4, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, groups=2, strides=2, activation="silu")(x)
    return keras.Model(i, layers.GlobalAveragePooling2D()(x))


def multi() -> keras.Model:
    """Two pictures and a vector in, one convolution for both, two values out."""
    a, b = layers.Input((24, 24, 3), name="left"), layers.Input((24, 24, 3), name="right")
    c = layers.Input((4,), name="facts")
    shared = layers.Conv2D(6, 3, activation="relu", name="shared")
    y = layers.Concatenate()([shared(a), shared(b)])
    y = layers.Multiply()([y, layers.Reshape((1, 1, 12))(layers.Dense(12, activation="sigmoid")(c))])
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(5, 1)(y)))
    z = layers.Conv2D(5, 3, padding="same")(y)
    z = layers.ReLU()(layers.Add()([y, z]))
    return keras.Model([a, b, c], {"mean": layers.GlobalAveragePooling2D()(z), "map": layers.Conv2D(2, 1)(z)})


def free() -> keras.Model:
    """Pictures of any size."""
    return keras.Sequential([
        layers.Input((None, None, 3)), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(8, 3, padding="same", strides=2),
        layers.BatchNormalization(), layers.ReLU(6), layers.MaxPooling2D(padding="same"), layers.SeparableConv2D(8, 3),
        layers.BatchNormalization(), layers.Activation("hard_silu"), layers.Conv2DTranspose(4, 3, 2, "same"),
        layers.ReLU(), layers.Conv2D(4, 3, dilation_rate=2, padding="same"), layers.PReLU(shared_axes=[1, 2]),
        layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"), layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ])  # fmt: skip


class Block(layers.Layer):
    """A residual block of one's own."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.one = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()
        self.two = layers.Conv2D(filters, 3, padding="same")
        self.relu, self.add, self.last = layers.ReLU(), layers.Add(), layers.Activation("relu")

    def call(self, x: Any) -> Any:
        """(N, H, W, C) -> (N, H, W, C)."""
        return self.last(self.add([x, self.two(self.relu(self.norm(self.one(x))))]))


class Own(keras.Model):
    """A subclassed model."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layers.Conv2D(8, 3, activation="relu")
        self.blocks = [Block(8), Block(8)]
        self.head = layers.Dense(3)

    def call(self, x: Any) -> Any:
        """(N, 20, 20, 3) -> (N, 3)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(keras.ops.mean(x, axis=(1, 2)))


def planted() -> keras.Model:
    """Dead by their weights: filter 1 of `bias` by a kernel of zeros, filter 2 of `norm` by a scale of 0."""
    i = layers.Input((16, 16, 3))
    bias, norm = layers.Conv2D(4, 3, activation="relu", name="bias"), layers.BatchNormalization()
    model = keras.Model(i, layers.ReLU()(norm(layers.Conv2D(4, 3, use_bias=False, name="norm")(bias(i)))))
    randomise(model)
    kernel, shift = (np.array(v) for v in bias.get_weights())
    kernel[..., 1], shift[1] = 0, -1
    bias.set_weights([kernel, shift])
    gamma, beta, *rest = (np.array(v) for v in norm.get_weights())
    gamma[2], beta[2] = 0, -1
    norm.set_weights([gamma, beta, *rest])
    return model


def half() -> keras.Model:
    """In float16, with variables of float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return keras.Sequential([
            layers.Input((24, 24, 3)), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU(),
            layers.DepthwiseConv2D(3, activation="relu"), layers.Conv2D(6, 3, activation="silu"),
            layers.GlobalAveragePooling2D(), layers.Dense(3, dtype="float32"),
        ])  # fmt: skip
    finally:
        keras.config.set_dtype_policy(before)


OWN: dict[str, tuple[Callable[[], keras.Model], tuple[tuple[int, ...], ...]]] = {
    "acts": (acts, ((16, 16, 3),)),
    "gelu": (lambda: acts(["gelu", "celu"]), ((16, 16, 3),)),
    "gelu tanh": (lambda: acts(["gelu tanh", "relu"]), ((16, 16, 3),)),
    "conv1d": (conv1d, ((48, 4),)),
    "conv3d": (conv3d, ((8, 12, 12, 2),)),
    "mixed": (mixed, ((32, 32, 3),)),
    "grouped": (grouped, ((16, 16, 4),)),
    "multi": (multi, ((24, 24, 3), (24, 24, 3), (4,))),
    "free": (free, ((37, 45, 3),)),
    "own": (Own, ((20, 20, 3),)),
    "planted": (planted, ((16, 16, 3),)),
    "half": (half, ((24, 24, 3),)),
}
NAMES = [*_APPLICATIONS, *OWN]


def build(name: str, inputs: int = 4) -> Built:
    """The model, with weights and statistics that are not trivial, and what it is fed."""
    keras.utils.set_random_seed(0)
    make, shapes = OWN[name] if name in OWN else (lambda: _application(name), ((_APPLICATIONS[name],) * 2 + (3,),))
    model = make()
    level = 255.0 if any(isinstance(x, layers.Rescaling) for x in model._flatten_layers()) else 1.0  # noqa: SLF001
    rng = np.random.default_rng(3)
    fed = [(rng.uniform(size=(inputs, *shape)) * level).astype(np.float32) for shape in shapes]
    model(fed[0] if len(fed) == 1 else fed)
    if name != "planted":
        randomise(model)
    return model, fed


def _application(name: str) -> keras.Model:
    size = _APPLICATIONS[name]
    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)


def randomise(model: keras.Model) -> None:
    """Statistics, scales and shifts of normalisations and biases, none of which Keras draws at random."""
    rng = np.random.default_rng(1)
    ranges = {"gamma": (0.5, 1.5), "beta": (-0.4, 0.4), "moving_mean": (-0.3, 0.3), "moving_variance": (0.5, 2.0)}
    for layer in model._flatten_layers():  # noqa: SLF001 - there is no public way to those within others
        for variable in layer.variables if not hasattr(layer, "layers") else []:
            low, high = ranges.get(variable.name, (-0.2, 0.2) if variable.name == "bias" else (0.0, 0.0))
            if high > low:
                variable.assign(rng.uniform(low, high, variable.shape))
