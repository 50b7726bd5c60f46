"""The registries of scope ``mmsmlp``, children of mmengine's roots.

A config of mmdet, mmseg or mmpretrain names ``type='mmsmlp.SMLPNet'`` and needs no
``custom_imports``: mmengine imports this module for the scope, and the registry imports its
``locations`` at the first look-up. An error in there reaches the user, because mmengine swallows
only those of importing this very module. Keep it free of anything that can fail.
"""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import Registry

MODELS = Registry(
    "model",
    parent=MMENGINE_MODELS,
    scope="mmsmlp",
    locations=["mmsmlp.models.backbones", "mmsmlp.models.necks"],
)
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="mmsmlp", locations=["mmsmlp.engine.hooks"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="mmsmlp",
    locations=["mmsmlp.engine.optim"],
)
OPTIM_WRAPPERS = Registry(
    "optimizer wrapper",
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope="mmsmlp",
    locations=["mmsmlp.engine.optim"],
)
