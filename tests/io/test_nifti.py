import gzip
import os
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from scripts.errors import InputError, ModelError, ResourceError
from scripts.io import nifti
from scripts.io.nifti import write_map

SHAPE = (7, 6, 5)
STRAIGHT = np.diag([0.9, 1.1, 3.0, 1.0])
OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.2, -0.3, 0.4) @ np.diag([0.9, -1.1, 3.0]), [11.3, -70.7, 0.1]
)
SHEARED = OBLIQUE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
GEOMETRY = ("pixdim", "xyzt_units", "dim_info", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z")
QUATERNION = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")


def make_source(
    folder,
    *,
    name="scan.nii.gz",
    affine=STRAIGHT,
    shape=SHAPE,
    dtype=np.int16,
    kind=nib.Nifti1Image,
    codes=(1, 1),
):
    image = kind(np.arange(np.prod(shape)).reshape(shape).astype(dtype), None)
    qform, sform = codes
    image.header.set_qform(affine, qform, strip_shears=True)
    image.header.set_sform(affine, sform)
    image.header.set_xyzt_units("mm", "sec")
    image.header["dim_info"] = 57
    nib.save(image, folder / name)
    return folder / name


def random_map(shape=SHAPE):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def assert_same_grid(written, source):
    assert written.shape == source.shape
    assert written.affine.tobytes() == source.affine.tobytes()
    for field in GEOMETRY + QUATERNION:
        assert written.header[field].tobytes() == source.header[field].tobytes(), field


@pytest.mark.parametrize("affine", [STRAIGHT, OBLIQUE, SHEARED], ids=["straight", "oblique", "sheared"])
@pytest.mark.parametrize("sform", range(5))
@pytest.mark.parametrize("qform", range(5))
def test_grid_equals_the_source_bit_for_bit(tmp_path, qform, sform, affine):
    source = make_source(tmp_path, affine=affine, codes=(qform, sform))
    values = random_map()
    path = write_map(values, source, tmp_path / "map.nii.gz", "anomaly")
    written = nib.load(path)
    assert_same_grid(written, nib.load(source))
    assert (written.header["qform_code"], written.header["sform_code"]) == (qform, sform)
    assert np.asarray(written.dataobj).tobytes() == values.tobytes()


def test_sform_and_qform_that_disagree_both_stay(tmp_path):
    source = make_source(tmp_path)
    image = nib.load(source)
    image.set_sform(OBLIQUE, 2)
    nib.save(image, tmp_path / "two.nii")
    written = nib.load(write_map(random_map(), tmp_path / "two.nii", tmp_path / "map.nii", "x"))
    assert_same_grid(written, nib.load(tmp_path / "two.nii"))
    assert not np.allclose(written.get_qform(), written.get_sform())


def test_left_handed_grid_keeps_qfac(tmp_path):
    source = make_source(tmp_path, affine=np.diag([-1.0, 1, 1, 1]), codes=(1, 0))
    written = nib.load(write_map(random_map(), source, tmp_path / "map.nii", "x"))
    assert written.header["pixdim"][0] == -1
    assert_same_grid(written, nib.load(source))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_dtype_and_scaling_of_the_source_do_not_reach_the_map(tmp_path, dtype):
    source = make_source(tmp_path, dtype=dtype)
    image = nib.load(source)
    image.header["scl_slope"], image.header["scl_inter"] = 0.37, -12
    scaled = nib.Nifti1Image(np.asarray(image.dataobj.get_unscaled()), None, image.header)
    scaled.header["scl_slope"], scaled.header["scl_inter"] = 0.37, -12
    nib.save(scaled, tmp_path / "scaled.nii")
    assert nib.load(tmp_path / "scaled.nii").dataobj.slope == pytest.approx(0.37)
    values = random_map() * 1e-7
    written = nib.load(write_map(values, tmp_path / "scaled.nii", tmp_path / "map.nii", "x"))
    assert written.get_data_dtype() == np.float32
    assert (written.dataobj.slope, written.dataobj.inter) == (1, 0)
    assert np.asarray(written.dataobj).tobytes() == values.tobytes()


def test_mask_is_uint8(tmp_path):
    values = (random_map() > 0).astype(np.uint8)
    written = nib.load(write_map(values, make_source(tmp_path), tmp_path / "mask.nii.gz", "mask"))
    assert written.get_data_dtype() == np.uint8
    assert np.array_equal(written.dataobj, values)
    assert (written.header["cal_min"], written.header["cal_max"]) == (0, 1)


@pytest.mark.case(11)
@pytest.mark.parametrize("tail", [(1,), (1, 1), (1, 1, 1)])
def test_trailing_axes_of_length_one_come_back(tmp_path, tail):
    source = make_source(tmp_path, shape=SHAPE + tail)
    values = random_map()
    written = nib.load(write_map(values, source, tmp_path / "map.nii.gz", "x"))
    assert_same_grid(written, nib.load(source))
    assert np.array_equal(np.asarray(written.dataobj).reshape(SHAPE), values)


def test_several_volumes_give_one_volume_on_their_grid(tmp_path):
    source = make_source(tmp_path, shape=(*SHAPE, 4))
    written = nib.load(write_map(random_map(), source, tmp_path / "map.nii.gz", "x"))
    assert written.shape == SHAPE
    assert np.array_equal(written.affine, nib.load(source).affine)


def test_single_slice_and_two_dimensions(tmp_path):
    for name, shape in (("one.nii", (7, 6, 1)), ("flat.nii", (7, 6))):
        source = make_source(tmp_path, name=name, shape=shape)
        written = nib.load(write_map(random_map((7, 6, 1)), source, tmp_path / f"map_{name}", "x"))
        assert_same_grid(written, nib.load(source))


def test_nifti2_and_big_endian_sources(tmp_path):
    second = make_source(tmp_path, name="second.nii", kind=nib.Nifti2Image, affine=OBLIQUE)
    written = nib.load(write_map(random_map(), second, tmp_path / "map2.nii", "x"))
    assert isinstance(written, nib.Nifti2Image)
    assert_same_grid(written, nib.load(second))
    little = nib.load(make_source(tmp_path, affine=OBLIQUE))
    big = nib.Nifti1Image(np.asarray(little.dataobj), None, little.header.as_byteswapped(">"))
    nib.save(big, tmp_path / "big.nii")
    assert nib.load(tmp_path / "big.nii").header.endianness == ">"
    written = nib.load(write_map(random_map(), tmp_path / "big.nii", tmp_path / "map.nii", "x"))
    assert written.header.endianness == "<"
    assert written.affine.tobytes() == nib.load(tmp_path / "big.nii").affine.tobytes()
    assert np.array_equal(written.dataobj, random_map())


def test_compressed_source_with_a_plain_name(tmp_path):
    plain = make_source(tmp_path, name="plain.nii", affine=OBLIQUE)
    disguised = tmp_path / "disguised.nii"
    disguised.write_bytes(gzip.compress(plain.read_bytes()))
    written = nib.load(write_map(random_map(), disguised, tmp_path / "map.nii", "x"))
    assert_same_grid(written, nib.load(plain))


@pytest.mark.parametrize(
    "name", ["ünï cöde 1.5T.v2.nii.gz", "a b.nii", "UPPER.NII.GZ", "脑.NII", "x" * 240 + ".nii.gz"]
)
def test_names_of_every_kind(tmp_path, name):
    source = make_source(tmp_path)
    path = write_map(random_map(), source, tmp_path / "out put" / name, "x")
    assert os.listdir(path.parent) == [name]
    assert path.read_bytes()[:2] == b"\x1f\x8b" or not name.lower().endswith(".gz")
    assert np.array_equal(nib.load(path).dataobj, random_map())


def test_array_order_and_views_do_not_matter(tmp_path):
    source, values = make_source(tmp_path), random_map()
    paths = [
        write_map(array, source, tmp_path / f"{name}.nii.gz", "x")
        for name, array in (
            ("c", values),
            ("f", np.asfortranarray(values)),
            ("view", np.ascontiguousarray(values[::-1, :, ::-1])[::-1, :, ::-1]),
        )
    ]
    assert len({path.read_bytes() for path in paths}) == 1


def test_header_says_what_it_is_and_nothing_about_the_patient(tmp_path):
    source = make_source(tmp_path)
    image = nib.load(source)
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        image.header[field] = b"Jane Doe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    nib.save(image, tmp_path / "named.nii")
    path = write_map(random_map(), tmp_path / "named.nii", tmp_path / "map.nii", "anomaly, variance é" * 9)
    header = nib.load(path).header
    assert b"Jane" not in path.read_bytes()
    text = header["descrip"].item()
    assert text.decode().startswith("anomaly, variance é")
    assert 77 < len(text) < 80
    assert header["intent_code"] == 0
    assert len(header.extensions) == 0


def test_display_window_ignores_zeros_and_outliers(tmp_path):
    source = make_source(tmp_path, shape=(40, 40, 40))
    values = np.zeros((40, 40, 40), np.float32)
    values[10:30, 10:30, 10:30] = np.random.default_rng(0).uniform(1, 2, (20, 20, 20))
    values[20, 20, 20] = 1e6
    header = nib.load(write_map(values, source, tmp_path / "map.nii", "x")).header
    assert header["cal_min"] == 0
    assert 1.9 < header["cal_max"] < 2
    header = nib.load(write_map(-values, source, tmp_path / "negative.nii", "x")).header
    assert -2 < header["cal_min"] < -1.9
    assert header["cal_max"] == 0
    header = nib.load(write_map(values * 0, source, tmp_path / "zero.nii", "x")).header
    assert (header["cal_min"], header["cal_max"]) == (0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(nifti, "_SLAB_BYTES", 2 * 7 * 6 * 4)
    source, values = make_source(tmp_path), random_map()
    values[2, 3, 4] = bad
    with pytest.raises(ModelError, match=r"map\.nii.*\[2, 3, 4\]"):
        write_map(values, source, tmp_path / "out" / "map.nii", "x")
    assert not (tmp_path / "out").exists()


def test_other_shapes_and_dtypes_are_refused(tmp_path):
    source = make_source(tmp_path)
    with pytest.raises(ModelError, match=r"\(7, 6, 5\).*\(6, 7, 5\)"):
        write_map(random_map((6, 7, 5)), source, tmp_path / "map.nii", "x")
    with pytest.raises(ModelError, match="float64"):
        write_map(random_map().astype(np.float64), source, tmp_path / "map.nii", "x")
    assert os.listdir(tmp_path) == ["scan.nii.gz"]


@pytest.mark.case(53)
def test_the_scan_itself_is_never_replaced(tmp_path):
    source = make_source(tmp_path)
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="replace its own scan"):
        write_map(random_map(), source, tmp_path / "link" / "scan.nii.gz", "x")
    with pytest.raises(InputError, match=r"\.nii or \.nii\.gz"):
        write_map(random_map(), source, tmp_path / "map.img", "x")
    assert source.read_bytes() == before


@pytest.mark.parametrize("where", ["nibabel.save", "os.replace", "os.fsync"])
def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch, where):
    source = make_source(tmp_path)

    def fail(*arguments):
        if where == "nibabel.save":
            arguments[1].write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(where, fail)
    with pytest.raises(ResourceError, match=r"map\.nii\.gz.*No space left"):
        write_map(random_map(), source, tmp_path / "out" / "map.nii.gz", "x")
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("damage", ["value", "affine", "shape", "dtype"])
def test_a_damaged_file_gets_no_name(tmp_path, monkeypatch, damage, suffix):
    monkeypatch.setattr(nifti, "_SLAB_BYTES", 2 * 7 * 6 * 4)
    source, values = make_source(tmp_path), random_map()
    save = nib.save

    def save_damaged(image, path):
        other, affine = values.copy(), image.header.get_best_affine()
        if damage == "value":
            other[6, 5, 4] += 1
        affine[0, 3] += damage == "affine"
        other = (
            other[:-1] if damage == "shape" else other.astype(np.float64 if damage == "dtype" else np.float32)
        )
        save(nib.Nifti1Image(other, affine), path)

    monkeypatch.setattr(nib, "save", save_damaged)
    with pytest.raises(ResourceError, match="reads back differently"):
        write_map(values, source, tmp_path / "out" / f"map{suffix}", "x")
    assert os.listdir(tmp_path / "out") == []


def test_another_reader_agrees(tmp_path):
    source = make_source(tmp_path, affine=OBLIQUE)
    path = write_map(random_map(), source, tmp_path / "map.nii.gz", "x")
    ours, scan = SimpleITK.ReadImage(path), SimpleITK.ReadImage(source)
    assert ours.GetOrigin() == scan.GetOrigin()
    assert ours.GetDirection() == scan.GetDirection()
    assert ours.GetSpacing() == scan.GetSpacing()
    assert np.array_equal(SimpleITK.GetArrayFromImage(ours).T, random_map())


def test_the_same_array_gives_the_same_bytes(tmp_path):
    source = make_source(tmp_path)
    first = write_map(random_map(), source, tmp_path / "first.nii.gz", "x")
    content = first.read_bytes()
    shutil.move(first, tmp_path / "kept")
    os.utime(source, (0, 0))
    assert write_map(random_map(), source, tmp_path / "second.nii.gz", "x").read_bytes() == content
