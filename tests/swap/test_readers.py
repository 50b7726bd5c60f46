"""What is told of maps, and what it becomes."""

from typing import Any

import pytest

from mmsmlp.errors import SwapError
from mmsmlp.swap.readers import find_channel_refs, host_of, rewrite, used_positions

RESNET = (256, 512, 1024, 2048)
OURS = (80, 160, 320, 640)


def swapped(host: dict[str, Any], old: tuple[int, ...] = RESNET) -> list[int]:
    """Rewrites a host for OURS and returns the maps that are used."""
    found = find_channel_refs(host, old)
    used = used_positions(found)
    rewrite(found, used, [OURS[i] for i in used])
    return used


def test_a_neck_reads_and_heads_behind_it_do_not() -> None:
    neck = dict(type="FPN", in_channels=[256, 512, 1024, 2048], out_channels=256)
    host = dict(neck=neck, bbox_head=dict(in_channels=256))
    assert swapped(host) == [0, 1, 2, 3]
    assert neck == dict(type="FPN", in_channels=[80, 160, 320, 640], out_channels=256)
    assert host["bbox_head"]["in_channels"] == 256


def test_of_several_necks_the_first_reads() -> None:
    necks = [dict(in_channels=list(RESNET)), dict(type="DyHead", in_channels=256)]
    swapped(dict(neck=necks))
    assert [neck["in_channels"] for neck in necks] == [[80, 160, 320, 640], 256]


def test_levels_that_a_neck_skips_are_not_output() -> None:
    neck = dict(in_channels=list(RESNET), start_level=1, end_level=3, num_outs=5)
    assert swapped(dict(neck=neck)) == [1, 2, 3]
    assert neck == dict(in_channels=[160, 320, 640], start_level=0, end_level=2, num_outs=5)


def test_maps_in_another_order_keep_it() -> None:
    neck = dict(type="YOLOV3Neck", in_channels=[2048, 1024, 512])
    assert swapped(dict(neck=neck)) == [1, 2, 3]
    assert neck["in_channels"] == [640, 320, 160]


def test_heads_are_updated_by_index() -> None:
    decode = dict(in_channels=2048, in_index=3, c1_in_channels=256)
    last = dict(in_channels=1024, in_index=-2)
    assert swapped(dict(decode_head=decode, auxiliary_head=[last])) == [0, 2, 3]
    assert decode == dict(in_channels=640, in_index=2, c1_in_channels=80)
    assert last == dict(in_channels=320, in_index=-2)


def test_equal_channels_of_several_maps_are_distinguished_by_index() -> None:
    head = dict(in_channels=(768, 768), in_index=(1, 3))
    assert swapped(dict(decode_head=head), (768,) * 4) == [1, 3]
    assert head == dict(in_channels=(160, 640), in_index=(0, 1))


def test_kernels_of_a_head_do_not_read_maps() -> None:
    update = [dict(in_channels=512)]
    generate = dict(in_channels=2048, in_index=3)
    swapped(dict(decode_head=dict(kernel_generate_head=generate, kernel_update_head=update)))
    assert generate["in_channels"] == 640
    assert update == [dict(in_channels=512)]


def test_regions_keep_the_channels_of_the_map_they_are_cut_from() -> None:
    roi_head = dict(
        bbox_roi_extractor=dict(out_channels=2048, featmap_strides=[16]),
        bbox_head=dict(in_channels=2048),
    )
    found = find_channel_refs(dict(rpn_head=dict(in_channels=2048), roi_head=roi_head), (2048,))
    rewrite(found, used_positions(found), (320,))
    assert roi_head["bbox_roi_extractor"]["out_channels"] == 320
    assert roi_head["bbox_head"]["in_channels"] == 320


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (dict(neck=dict(in_channels=[1, 2])), "no part of it reads"),
        (
            dict(neck=dict(type="RFP", rfp_backbone=dict(type="X"))),
            "RFP feeds its maps back into a backbone made for that",
        ),
        (
            dict(roi_head=dict(type="StandardRoIHead", shared_head=dict(type="ResLayer"))),
            r"shared_head \(ResLayer\) of StandardRoIHead is the last stage",
        ),
    ],
)
def test_an_unsupported_model_is_an_error_with_a_reason(host: dict[str, Any], message: str) -> None:
    with pytest.raises(SwapError, match=message):
        find_channel_refs(host, RESNET)


def test_the_backbone_may_be_in_a_wrapped_detector() -> None:
    detector = dict(backbone=dict(type="ResNet"))
    assert host_of(dict(type="SoftTeacher", detector=detector)) is detector
    with pytest.raises(SwapError, match="SideAdapter has no `backbone`"):
        host_of(dict(type="SideAdapter", image_encoder=dict(type="X")))


def test_maps_that_a_neck_hands_on_are_read_by_heads() -> None:
    neck = dict(type="JPU", in_channels=(512, 1024, 2048), mid_channels=512)
    decode = dict(in_channels=2048, in_index=2)
    auxiliary = dict(in_channels=1024, in_index=1)
    host = dict(neck=neck, decode_head=decode, auxiliary_head=auxiliary)
    found = find_channel_refs(host, RESNET[1:])
    rewrite(found, used_positions(found), OURS[1:])
    assert neck["in_channels"] == (160, 320, 640)
    assert decode == dict(in_channels=2048, in_index=2)
    assert auxiliary == dict(in_channels=320, in_index=1)


@pytest.mark.parametrize(("lateral", "used"), [(False, [3]), (True, [1, 2, 3])])
def test_a_head_that_leaves_maps_alone_is_not_given_them(lateral: bool, used: list[int]) -> None:
    head = dict(
        type="EncHead", in_channels=[512, 1024, 2048], in_index=(1, 2, 3), add_lateral=lateral
    )
    assert swapped(dict(decode_head=head)) == used
    assert head["in_channels"] == [OURS[i] for i in used]
    assert head["in_index"] == tuple(range(len(used)))


def test_a_neck_that_hands_all_maps_on_tells_them_twice_and_the_head_as_well() -> None:
    neck = dict(type="SSDNeck", in_channels=(512, 1024), out_channels=(512, 1024, 512, 256))
    head = dict(in_channels=(512, 1024, 512, 256))
    host = dict(neck=neck, bbox_head=head)
    found = find_channel_refs(host, (512, 1024))
    rewrite(found, used_positions(found), (160, 320))
    assert neck["in_channels"] == (160, 320)
    assert neck["out_channels"] == head["in_channels"] == (160, 320, 512, 256)


def test_heads_behind_a_neck_that_changes_strides_alone_read_as_many_channels() -> None:
    neck = dict(type="Feature2Pyramid", embed_dim=768)
    decode = dict(in_channels=[768] * 4, in_index=[0, 1, 2, 3])
    auxiliary = dict(in_channels=768, in_index=2)
    found = find_channel_refs(
        dict(neck=neck, decode_head=decode, auxiliary_head=auxiliary), (768,) * 4
    )
    rewrite(found, used_positions(found), (256,) * 4)
    assert neck["embed_dim"] == 256
    assert decode == dict(in_channels=[256] * 4, in_index=[0, 1, 2, 3])
    assert auxiliary == dict(in_channels=256, in_index=2)
