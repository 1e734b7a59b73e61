import gzip
import hashlib

import nibabel as nib
import numpy as np
import pytest

from scripts.data.hashing import content_hash
from scripts.errors import InputError

VOXELS = np.random.default_rng(0).integers(0, 1000, size=(5, 4, 3)).astype(np.int16)


def save(path, voxels=VOXELS, kind=nib.Nifti1Image, **header):
    image = kind(voxels, np.diag([1, 2, 3, 1]))
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return {"image": str(path)}


def slow_hash(voxels):
    """What content_hash promises, without streams: type, shape, voxels in Fortran order."""
    head = f"{voxels.dtype.str} {'x'.join(map(str, voxels.shape))}\n".encode()
    return hashlib.sha256(head + voxels.tobytes(order="F")).hexdigest()


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_against_the_slow_way(tmp_path, name, kind):
    assert content_hash(save(tmp_path / name, kind=kind)) == slow_hash(VOXELS)


def test_longer_than_one_chunk(tmp_path):
    voxels = np.random.default_rng(1).integers(0, 255, size=(128, 128, 70)).astype(np.uint8)
    assert content_hash(save(tmp_path / "x.nii.gz", voxels)) == slow_hash(voxels)


def test_compression_name_and_header_text_do_not_matter(tmp_path):
    records = [
        save(tmp_path / "a.nii"),
        save(tmp_path / "b.nii.gz"),
        save(tmp_path / "c.nii.gz", descrip=b"saved again"),
        save(tmp_path / "d.nii", VOXELS[..., np.newaxis]),
    ]
    again = tmp_path / "e.nii.gz"
    again.write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes(), compresslevel=1, mtime=12345))
    misnamed = tmp_path / "f.nii.gz"
    misnamed.write_bytes((tmp_path / "a.nii").read_bytes())
    records += [{"image": str(again)}, {"image": str(misnamed)}]
    assert {content_hash(record) for record in records} == {slow_hash(VOXELS)}


def test_one_voxel_type_or_shape_matters(tmp_path):
    other = VOXELS.copy()
    other[0, 0, 0] += 1
    variants = [VOXELS, other, VOXELS.astype(np.uint16), VOXELS.reshape(4, 5, 3), VOXELS[..., :2]]
    hashes = {content_hash(save(tmp_path / f"{n}.nii.gz", v)) for n, v in enumerate(variants)}
    assert len(hashes) == len(variants)


def test_several_files_in_order(tmp_path):
    a, b = save(tmp_path / "a.nii")["image"], save(tmp_path / "b.nii", VOXELS + 1)["image"]
    hashes = [content_hash({"image": paths}) for paths in ([a, b], [b, a], [a], a)]
    assert len(set(hashes)) == 3
    assert hashes[2] == hashes[3]


def test_channels(tmp_path):
    stack = np.stack([VOXELS, VOXELS + 1, VOXELS + 2], axis=-1)
    record = save(tmp_path / "x.nii.gz", stack)
    assert content_hash({**record, "channels": [1]}) == slow_hash(VOXELS + 1)
    hashes = {content_hash({**record, "channels": channels}) for channels in ([0, 2], [2, 0], [0], [2])}
    assert len(hashes) == 4
    assert content_hash(record) == slow_hash(stack)
    with pytest.raises(InputError, match=r"at least 4 channels, but '.*x.nii.gz' has shape \(5, 4, 3, 3\)"):
        content_hash({**record, "channels": [0, 3]})
    with pytest.raises(InputError, match=r"Expected a 4-D file .* has shape \(5, 4, 3\)"):
        content_hash({**save(tmp_path / "y.nii"), "channels": [0]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expected a NIfTI file, but '.*bad.nii.gz' is none"),
        (b"<html>not found</html>", "Expected a NIfTI file, but '.*bad.nii.gz' is none"),
        (b"x" * 1000, "Expected a NIfTI file, but '.*bad.nii.gz' is none"),
    ],
)
def test_not_nifti(tmp_path, content, message):
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        content_hash({"image": str(path)})


def test_truncated_and_missing(tmp_path):
    record = save(tmp_path / "x.nii")
    path = tmp_path / "x.nii"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(
        InputError, match=r"Expected 120 bytes of voxels in '.*x.nii', but it is truncated: 113"
    ):
        content_hash(record)
    record = save(tmp_path / "y.nii.gz")
    path = tmp_path / "y.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"Expected a whole NIfTI file, but '.*y.nii.gz' cannot be read"):
        content_hash(record)
    with pytest.raises(InputError, match=r"Expected a whole NIfTI file, but '.*gone.nii' cannot be read"):
        content_hash({"image": str(tmp_path / "gone.nii")})
