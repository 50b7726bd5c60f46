"""CycleMLP-B1 with its authors' weights, as part of a detector or segmentor."""

channels = [64, 128, 320, 512]
backbone = dict(
    type="mmsmlp.CycleMLP",
    arch="b1",
    init_cfg=dict(type="Pretrained", checkpoint="mmsmlp://cyclemlp_b1_in1k"),
)
neck = dict(in_channels=channels)
