"""S²-MLPv2-Small/4 as part of a detector or segmentor; for both families of configs."""

channels = [64, 128, 320, 512]
# Its paper's drop path, whatever a recipe has.
backbone = dict(type="mmsmlp.S2MLPv2", arch="small/4", drop_path_rate=0.1)
neck = dict(in_channels=channels)
