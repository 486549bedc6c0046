"""Shifts and reverse-complements windows at random and one-hot encodes them, inside the TensorFlow graph."""

from __future__ import annotations

import tensorflow as tf

from scbasset_zoo.training.replicas import Share

_COMPLEMENT = (3, 2, 1, 0, 4)


def one_hot(codes: tf.Tensor) -> tf.Tensor:
    """Encode codes (n, length) as one-hot float32 (n, length, 4); N is 0.25 in each channel."""
    codes = tf.cast(codes, tf.int32)
    return tf.one_hot(codes, 4) + 0.25 * tf.cast(codes == 4, tf.float32)[..., None]


def centre(codes: tf.Tensor, flank: int) -> tf.Tensor:
    """Return the windows without their flanks."""
    return codes[:, flank : codes.shape[1] - flank] if flank else codes


def augment(
    codes: tf.Tensor, *, flank: int, shift: int, reverse_complement: bool, seed: tf.Tensor, share: Share | None = None
) -> tf.Tensor:
    """Shift each window by up to `shift` bp into its flanks, and reverse-complement half of them.

    Parameters
    ----------
    codes : int8 tensor of shape (n, length + 2 * flank)
    flank : int
        Bases stored on each side of the window.
    shift : int
        The largest shift in bp, at most `flank`; every shift from -shift to shift is equally likely.
    reverse_complement : bool
        Whether to reverse-complement each sequence with probability 0.5.
    seed : integer tensor of shape (2,)
        The random draw depends on it alone.
    share : Share, optional
        The windows are this share of a batch, and are drawn for as in the whole batch.

    Returns
    -------
    int32 tensor of shape (n, length)
    """
    n, length = tf.shape(codes)[0], codes.shape[1] - 2 * flank
    codes = tf.cast(codes, tf.int32)
    drawn = n if share is None else share.total

    def mine(values: tf.Tensor) -> tf.Tensor:
        return values if share is None else values[share.first : share.first + n]

    if shift:
        offset = mine(tf.random.stateless_uniform((drawn, 1), seed, -shift, shift + 1, tf.int32)) + flank
        codes = tf.gather(codes, offset + tf.range(length)[None, :], batch_dims=1)
    else:
        codes = centre(codes, flank)
    codes.set_shape((None, length))
    if reverse_complement:
        opposite = tf.gather(tf.constant(_COMPLEMENT), codes[:, ::-1])
        flip = mine(tf.random.stateless_uniform((drawn, 1), seed + [0, 1 << 30])) < 0.5
        codes = tf.where(flip, opposite, codes)
    return codes
