"""MONAI Label over a DICOM archive, as OHIF needs it."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from tests.archive.test_orthanc import ORTHANC, PLUGIN, archive
from tests.bundle.commands import WarmCommands
from tests.dicom_files import HEAD, SAGITTAL, SPACING, make_series, volume
from tests.heads import rotation, save_scan, scan_affine
from tests.label_server import IS_MISSING, LENIENT, serve

__all__ = ["archive"]

pytestmark = [
    pytest.mark.label,
    pytest.mark.debian,
    pytest.mark.slow,
    IS_MISSING,
    pytest.mark.skipif(
        ORTHANC is None or not PLUGIN.exists(),
        reason="Orthanc is not here: apt-get install orthanc orthanc-dicomweb",
    ),
]

SERIES = "1.2.3.4"


def test_map_of_a_series_is_that_of_the_file_with_the_same_voxels(
    archive: DICOMwebClient, tmp_path: Path
) -> None:
    """Of an oblique sagittal series: MONAI Label chooses other axes, and the world is the same."""
    turn = rotation(17, -9)
    files = make_series(tmp_path / "scanner", volume(axes=SAGITTAL, turn=turn), series=SERIES)
    archive.store_instances([pydicom.dcmread(file) for file in files])
    scan = save_scan(tmp_path / "scan.nii.gz", np.round(HEAD), turn @ scan_affine(HEAD.shape, SPACING))
    with WarmCommands(tmp_path) as commands:
        options = (f"--dataset_dir={scan}", f"--output_dir={tmp_path / 'maps'}", "--scope=warn")
        command = ("run", "inference", "--config_file", "configs/inference.json")
        commands.run(*command, *options, pictures=False).check()
    expected = nibabel.as_closest_canonical(nibabel.load(tmp_path / "maps" / "scan" / "scan_anomaly.nii.gz"))

    search = {"MONAI_LABEL_DICOMWEB_SEARCH_FILTER": '{"Modality": "MR"}'}
    cache = {"MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path / "cache")}
    with serve(tmp_path, archive.base_url, **search, **cache) as server:
        assert requests.get(f"{server.url}/info/", timeout=30).json()["datastore"]["total"] == 1
        found = nibabel.as_closest_canonical(server.map(tmp_path, LENIENT, image=SERIES, output="anomaly"))
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-3)
    values, wanted = (np.asarray(one.dataobj) for one in (found, expected))
    assert wanted.max() > 0
    np.testing.assert_allclose(values, wanted, rtol=1e-3, atol=1e-3 * wanted.max())
