"""Every backbone compiled as one graph with sizes left open."""

import copy

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager

from mmsmlp.registry import MODELS
from tests.helpers import sampled

SMALL = {
    "SMLPNet": dict(arch=dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2), out_indices=(0, 1)),
    "S2MLPv2": dict(
        arch=dict(embed_dims=(8, 16), depths=(1, 1), patch_sizes=(4, 2), mlp_ratio=2),
        drop_path_rate=0.0,
        # Blocks that begin as the identity would hide what is in them.
        init_cfg=dict(type="Kaiming", layer=["Conv2d", "Linear"]),
    ),
    "CycleMLP": dict(
        arch=dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratios=(2, 2)),
        out_indices=(0, 1),
        drop_path_rate=0.0,
    ),
    "S2MLP": dict(arch=dict(embed_dims=16, depth=2, patch_size=16, mlp_ratio=2)),
}
# Of a training at several scales, portraits as well as landscapes.
SIZES = [(256, 320), (352, 288), (320, 480), (480, 320), (288, 448), (512, 512), (416, 256)]


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("with_cp", sampled([False, True], 2))
# The blocks of S2MLP are those of S2MLPv2 without split attention.
@pytest.mark.parametrize(
    "name", ["SMLPNet", "S2MLPv2", pytest.param("S2MLP", marks=pytest.mark.long)]
)
def test_one_graph_serves_all_sizes_of_a_training(name: str, with_cp: bool) -> None:
    """Outputs, gradients and statistics are those of running it; nothing is compiled again."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    network = MODELS.build(dict(SMALL[name], type=name, with_cp=with_cp))
    network.init_weights()
    plain = copy.deepcopy(network)
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        graphs.append(graph)
        return aot_eager(graph, inputs)

    compiled = torch.compile(network, fullgraph=True, dynamic=True, backend=backend)
    for i, size in enumerate(SIZES):
        x = torch.randn(2, 3, *size)
        results = []
        for function in (compiled, plain):
            outputs = function(x)
            sum(y.square().mean() for y in outputs).backward()
            results.append(outputs)
        torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
        if i == 2:
            after_three = len(graphs)
    assert len(graphs) == after_three
    gradients = [[p.grad for p in module.parameters()] for module in (network, plain)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.state_dict(), plain.state_dict())
