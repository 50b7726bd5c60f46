"""Receptive fields as pictures."""

import base64
import re

import cv2
import numpy as np

from mmsmlp.apis.demo.fields import as_html, overlay


def test_an_overlay_is_bright_where_the_field_is_and_has_a_cross_at_the_point() -> None:
    image = np.full((60, 120, 3), 128, np.uint8)
    field = np.full((30, 60), 1e-6)
    field[:, 30:] = 1
    picture = overlay(image, field, (0.25, 0.125))
    assert picture.shape == (240, 480, 3)
    assert (picture[60, 60] == 255).all()  # the cross is white
    dark, bright = picture[200, 120].astype(int), picture[200, 360].astype(int)
    assert bright[0] > 200 and bright[2] < 120  # yellow
    assert dark[0] < 40 and dark[2] > 60  # blue


def test_a_page_has_a_picture_of_each_stage() -> None:
    image = np.zeros((40, 20, 3), np.uint8)
    fields = [np.ones((8, 4)), np.eye(8)[:, :4]]
    html = as_html("a <model>", image, fields, (0.5, 0.5))
    assert "<h4>a &lt;model&gt;</h4>" in html
    captions = re.findall("<figcaption>(.*?)</figcaption>", html)
    assert captions == ["stage 1: half in 50.0%", "stage 2: half in 6.2%"]
    for data in re.findall('base64,([^"]+)"', html):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (480, 240, 3)
