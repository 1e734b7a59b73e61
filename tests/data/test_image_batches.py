import numpy as np
import torch

from scripts.data.image_batches import ImageBatches

IMAGES = np.arange(10 * 4, dtype=np.uint8).reshape(10, 1, 2, 2)
LABELS = np.arange(10)


def labels_of(batches, number=1):
    return [label.tolist() for _, label in batches.epoch(number)]


def test_every_image_comes_once_with_its_label_in_the_unit_interval():
    seen = [
        (label.item(), image)
        for images, labels in ImageBatches(IMAGES, LABELS, 4).epoch(1)
        for image, label in zip(images, labels, strict=True)
    ]
    assert sorted(label for label, _ in seen) == list(range(10))
    for label, image in seen:
        assert torch.equal(image, torch.from_numpy(IMAGES[label]).float() / 255)


def test_the_last_batch_is_smaller():
    batches = ImageBatches(IMAGES, LABELS, 4)
    assert [len(one) for one in labels_of(batches)] == [4, 4, 2]
    assert len(batches) == 3


def test_the_order_is_that_of_seed_and_epoch():
    first = ImageBatches(IMAGES, LABELS, 4, seed=1)
    assert labels_of(first, 1) == labels_of(ImageBatches(IMAGES, LABELS, 4, seed=1), 1)
    assert labels_of(first, 1) != labels_of(first, 2)
    assert labels_of(first, 1) != labels_of(ImageBatches(IMAGES, LABELS, 4, seed=2), 1)


def test_unshuffled_images_keep_their_order():
    assert labels_of(ImageBatches(IMAGES, LABELS, 4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
