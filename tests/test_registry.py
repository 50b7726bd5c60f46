"""``mmsmlp.SMLPNet`` resolves everywhere, and speaks up when it cannot."""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

from tests.helpers import sampled


def run(code: str) -> subprocess.CompletedProcess:
    code = textwrap.dedent(code)
    # mmdet and mmseg cannot be imported without mmcv's operators, compiled or ours.
    operators = importlib.util.find_spec("mmcv._ext")
    if not (operators and operators.origin):
        code = "import mmsmlp.ops\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


BLOCK_IMPORTS = """
    import sys

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name in {blocked!r}:
                raise ImportError(f"{{name}} is blocked")

    sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("library", ["mmdet", "mmseg", "mmpretrain"])
def test_resolves_from_each_library_with_nothing_imported_first(library: str) -> None:
    pytest.importorskip(library)
    result = run(f"""
        from {library}.registry import MODELS
        backbone = MODELS.build(dict(type="mmsmlp.SMLPNet", arch="tiny", out_indices=3))
        print(type(backbone).__module__, backbone.channels)
    """)
    assert result.stdout.strip().endswith("mmsmlp.models.backbones.smlpnet [640]"), result.stderr


@pytest.mark.parametrize("library", sampled(["mmdet", "mmseg", "mmpretrain"], 3))
def test_layer_decay_is_found_from_each_library_with_nothing_imported_first(library: str) -> None:
    pytest.importorskip(library)
    result = run(f"""
        from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, init_default_scope
        init_default_scope("{library}")
        constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type="mmsmlp.LayerDecayOptimWrapperConstructor",
                optim_wrapper_cfg=dict(optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05)),
                paramwise_cfg=dict(layer_decay_rate=0.9),
            )
        )
        print(type(constructor).__module__)
    """)
    assert result.stdout.strip().endswith("mmsmlp.engine.optim.layer_decay"), result.stderr


def test_imports_with_mmengine_and_mmcv_lite_alone() -> None:
    blocked = {"mmdet", "mmseg", "mmpretrain", "mmcv._ext"}
    result = run(
        BLOCK_IMPORTS.format(blocked=blocked)
        + """
    import torch
    from mmengine.registry import MODELS
    backbone = MODELS.build(dict(type="mmsmlp.SMLPNet", arch="tiny"))
    print([tuple(y.shape) for y in backbone(torch.rand(2, 3, 33, 20))])
    """
    )
    expected = "[(2, 80, 9, 5), (2, 160, 5, 3), (2, 320, 3, 2), (2, 640, 2, 1)]"
    assert result.stdout.strip() == expected, result.stderr


@pytest.mark.parametrize("blocked", ["mmcv", "mmsmlp.models.layers"])
def test_an_import_error_reaches_the_user(blocked: str) -> None:
    """mmengine would otherwise say that SMLPNet is not in the registry."""
    result = run(
        BLOCK_IMPORTS.format(blocked={blocked})
        + """
    from mmengine.registry import MODELS
    MODELS.build(dict(type="mmsmlp.SMLPNet"))
    """
    )
    assert result.returncode != 0
    assert f"ImportError: {blocked} is blocked" in result.stderr


def test_backbone_layers_know_nothing_of_openmmlab() -> None:
    result = run("""
        import sys
        import mmsmlp.models.layers
        print([name for name in sys.modules if name.split(".")[0] in ("mmengine", "mmcv")])
    """)
    assert result.stdout.strip() == "[]", result.stderr
