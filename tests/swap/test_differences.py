"""The least that a config says to become another."""

from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from mmsmlp.swap import overrides

VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["type", "a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(old=CONFIGS, new=CONFIGS)
def test_mmengine_merges_them_into_the_new_config(old: dict, new: dict) -> None:
    new = {**old, **new}
    merged = Config._merge_a_into_b(Config(overrides(old, new))._cfg_dict, old)
    assert Config(merged).to_dict() == new
