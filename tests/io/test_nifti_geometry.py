import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from scripts.errors import InputError
from scripts.io.geometry import source_geometry

AFFINE = np.array([[-0.9, 0, 0.1, 90], [0.05, 1.1, 0, -100], [0, 0, 3, -20], [0, 0, 0, 1.0]])


def make_image(kind=nib.Nifti1Image, shape=(4, 5, 6), affine=AFFINE):
    image = kind(np.zeros(shape, np.int16), affine)
    image.header.set_xyzt_units("mm", "sec")
    return image


def saved(tmp_path, image, name="scan.nii"):
    nib.save(image, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_fields_are_those_of_nibabel(tmp_path, kind):
    path = saved(tmp_path, make_image(kind))
    geometry, image = source_geometry(path), nib.load(path)
    assert geometry.shape == image.shape
    assert geometry.zooms == image.header.get_zooms()
    assert np.array_equal(geometry.affine, image.affine)
    assert geometry.axis_codes == "LAS"
    assert (geometry.sform_code, geometry.qform_code, geometry.units) == (2, 0, "mm")


def test_to_dict_is_json(tmp_path):
    data = source_geometry(saved(tmp_path, make_image())).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["affine"] == AFFINE.astype(np.float32).astype(float).tolist()


def test_compression_is_found_by_content_not_by_name(tmp_path):
    plain = saved(tmp_path, make_image())
    packed_as_plain, plain_as_packed = tmp_path / "packed.nii", tmp_path / "plain.nii.gz"
    packed_as_plain.write_bytes(gzip.compress(plain.read_bytes()))
    plain_as_packed.write_bytes(plain.read_bytes())
    expected = source_geometry(plain).to_dict()
    assert source_geometry(packed_as_plain).to_dict() == expected
    assert source_geometry(plain_as_packed).to_dict() == expected


def test_big_endian_and_pairs(tmp_path):
    little = make_image()
    big = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), AFFINE, little.header.as_byteswapped(">"))
    path = saved(tmp_path, big, "big.nii")
    assert nib.load(path).header.endianness == ">"
    assert np.array_equal(source_geometry(path).affine, nib.load(path).affine)
    pair = saved(tmp_path, nib.Nifti1Pair(np.zeros((4, 5, 6), np.int16), AFFINE), "pair.img")
    assert source_geometry(pair).shape == (4, 5, 6)


@pytest.mark.parametrize("content", [b"", b"<html>" * 200, b"\x1f\x8b", b"\x1f\x8b" + b"x" * 400])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        source_geometry(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.nii"):
        source_geometry(tmp_path / "nowhere.nii")


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_affines_that_cannot_be_inverted_are_refused(value):
    header = make_image().header
    header["srow_x"] = header["srow_y"] = value
    with pytest.raises(InputError, match="invertible affine"):
        source_geometry(header)


def test_impossible_quaternion_is_refused():
    header = make_image().header
    header["sform_code"], header["qform_code"] = 0, 1
    header["quatern_b"] = header["quatern_c"] = 1.0
    with pytest.raises(InputError, match="qform"):
        source_geometry(header)


def test_unknown_unit_code_is_unknown():
    header = make_image().header
    header["xyzt_units"] = 7
    assert source_geometry(header).units == "unknown"
