"""Former place of :mod:`mmsmlp.models.layers`; kept for one release."""

from mmsmlp.models.layers import *  # noqa: F403
