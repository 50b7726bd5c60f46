"""Former place of :mod:`mmsmlp.model_zoo`; kept for one release."""

from mmsmlp.model_zoo import *  # noqa: F403
