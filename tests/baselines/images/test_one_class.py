from __future__ import annotations

import numpy as np
import pytest

from scripts.baselines.images.one_class import OneClassSVMDetector
from scripts.errors import InputError


def test_nu_is_the_share_of_training_images_outside_the_boundary(split):
    for nu in (0.05, 0.3):
        detector = OneClassSVMDetector(nu=nu)
        detector.fit(split)
        outside = detector.score(split.train_images)["one_class_svm"] > 0
        assert outside.mean() == pytest.approx(nu, abs=0.02)


def test_images_of_fewer_pixels_have_as_many_components(split):
    many, all_of_them = OneClassSVMDetector(components=1000), OneClassSVMDetector(components=64)
    many.fit(split)
    all_of_them.fit(split)
    scores = [detector.score(split.test_images)["one_class_svm"] for detector in (many, all_of_them)]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("arguments", [{"nu": 0}, {"nu": 1.1}, {"components": 0}])
def test_what_is_out_of_range_is_refused(split, arguments):
    with pytest.raises(InputError, match="nu above 0 and up to 1 and at least 1 component"):
        OneClassSVMDetector(**arguments).fit(split)
