"""Which stages are chosen for the maps of another backbone."""

import pytest

from mmsmlp.errors import SwapError
from mmsmlp.swap.levels import Levels, choose, undilated

PYRAMID = Levels((80, 160, 320, 640), (4, 8, 16, 32))
ISOTROPIC = Levels((384,) * 12, (16,) * 12)
SEVENS = Levels((192, 384), (7, 14))


@pytest.mark.parametrize(
    ("strides", "wanted"),
    [
        ([4, 8, 16, 32], [4, 8, 16, 32]),
        ([4, 8, 8, 8], [4, 8, 16, 32]),
        ([4, 8, 16, 16], [4, 8, 16, 32]),
        ([16, 16, 16], [16, 16, 16]),
        ([16], [16]),
    ],
)
def test_a_dilated_stage_counts_as_if_it_strode(strides: list[int], wanted: list[int]) -> None:
    assert undilated(strides) == wanted


@pytest.mark.parametrize("strides", [[8, 32, 8], [16, 8, 4], [8, 8, 16]])
def test_maps_that_are_no_pyramid_are_refused(strides: list[int]) -> None:
    with pytest.raises(SwapError, match="no pyramid"):
        undilated(strides)


def test_stages_of_the_same_strides_are_taken() -> None:
    choice = choose(PYRAMID, [8, 16, 32])
    assert (choice.out_indices, choice.channels) == ((1, 2, 3), (160, 320, 640))
    assert choice.adapter is None


def test_an_isotropic_network_gives_maps_from_evenly_spaced_depths() -> None:
    choice = choose(ISOTROPIC, [16, 16, 16, 16])
    assert (choice.out_indices, choice.channels) == ((2, 5, 8, 11), (384,) * 4)
    assert choice.adapter is None


@pytest.mark.parametrize(
    ("stages", "wanted", "indices"),
    [
        (ISOTROPIC, [4, 8, 16, 32], (11,)),
        (SEVENS, [4, 8, 16, 32], (0, 1)),
        (SEVENS, [32], (1,)),
        (PYRAMID, [16, 16, 16, 16], (0, 1, 2, 3)),
        (PYRAMID, [8, 16, 32, 64], (1, 2, 3)),
    ],
)
def test_other_strides_are_made_by_an_adapter(
    stages: Levels, wanted: list[int], indices: tuple[int, ...]
) -> None:
    choice = choose(stages, wanted)
    assert choice.out_indices == indices
    assert choice.adapter["in_channels"] == [stages.channels[i] for i in indices]
    assert choice.adapter["in_strides"] == [stages.strides[i] for i in indices]
    assert choice.adapter["out_strides"] == wanted
    assert choice.channels == (choice.adapter["out_channels"],) * len(wanted)


def test_a_decoder_is_not_replaced_by_a_shallow_stage() -> None:
    with pytest.raises(SwapError, match=r"strides \[2, 4\] and no coarser"):
        choose(PYRAMID, [2, 4])
