"""Ground truth beside prediction, objects drawn alike on both sides."""

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmsmlp.visualization import draw_comparison

PALETTE = [(200, 0, 0), (0, 0, 200)]
BOXES = torch.tensor([[10.0, 100, 60, 180], [200, 200, 300, 300]])
LABELS = torch.tensor([0, 1])
MASKS = np.zeros((2, 400, 384), np.uint8)
MASKS[0, 130:180, 20:60] = MASKS[1, 230:290, 210:290] = 1


@pytest.fixture
def visualizer() -> DetLocalVisualizer:
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = dict(classes=("ball", "box"), palette=PALETTE)
    return visualizer


def sample(scores: list[float], masks: bool = True) -> DetDataSample:
    truth = InstanceData(bboxes=BOXES, labels=LABELS)
    found = InstanceData(bboxes=BOXES, labels=LABELS, scores=torch.tensor(scores))
    if masks:
        truth.masks = BitmapMasks(MASKS, 400, 384)
        found.masks = torch.from_numpy(MASKS).bool()
    return DetDataSample(gt_instances=truth, pred_instances=found)


def test_both_sides_fill_masks_with_the_colour_of_the_class(visualizer: DetLocalVisualizer) -> None:
    image = np.full((400, 384, 3), 100, np.uint8)
    panel = draw_comparison(visualizer, image, sample([0.9, 0.4]))
    assert panel.shape == (400, 2 * 384 + 6, 3)
    left, right = panel[:, :384], panel[:, -384:]
    # Within the first mask and off its title: 60 % of the class, 40 % of the image.
    shade = 0.6 * np.array(PALETTE[0]) + 0.4 * 100
    for side in (left, right):
        assert np.abs(side[150:170, 30:50] - shade).max() <= 1
    # The second object has a score below 0.5.
    assert np.abs(left[250:280, 230:280] - (0.6 * np.array(PALETTE[1]) + 40)).max() <= 1
    assert (right[190:310, 190:310] == 100).all()


def test_boxes_without_masks_and_small_images(visualizer: DetLocalVisualizer) -> None:
    image = np.full((100, 96, 3), 100, np.uint8)
    small = sample([0.9, 0.9], masks=False)
    for instances in (small.gt_instances, small.pred_instances):
        instances.bboxes = instances.bboxes / 4
    panel = draw_comparison(visualizer, image, small)
    assert panel.shape == (400, 2 * 384 + 6, 3), "enlarged four times"
    assert (panel[300, 200:300] == PALETTE[1]).all(), "lower edge of the second box"


def test_nothing_found_leaves_the_image(visualizer: DetLocalVisualizer) -> None:
    image = np.full((400, 384, 3), 100, np.uint8)
    panel = draw_comparison(visualizer, image, sample([0.1, 0.2]))
    assert (panel[:, -384:] == image).all()
