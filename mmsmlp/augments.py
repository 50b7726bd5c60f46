"""Former place of :mod:`mmsmlp.datasets.transforms`; kept for one release."""

from mmsmlp.datasets.transforms import *  # noqa: F403
