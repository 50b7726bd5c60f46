"""Networks: layers in plain torch, backbones made of them, and necks."""
