"""Former place of :mod:`mmsmlp.models.backbones`; kept for one release."""

from mmsmlp.models.backbones import *  # noqa: F403
