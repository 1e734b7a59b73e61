"""A real archive: store a series in Orthanc, fetch it over DICOMweb, map it, store the maps, find them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.pixels import pixel_array

from scripts.uncertainty.maps import MapName
from tests.dicom_files import PATIENT_ID, SAGITTAL, make_series, save, volume
from tests.heads import rotation
from tests.inference_route import DICOM, infer, make_model

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc")

pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.skipif(
        ORTHANC is None or not PLUGIN.exists(),
        reason="Orthanc is not here: apt-get install orthanc orthanc-dicomweb",
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DICOMwebClient]:
    """A client of an empty Orthanc on a loopback port of its own."""
    port = free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("w") as log:
        server = subprocess.Popen([str(ORTHANC), str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _answers(f"{url}/system"):
            assert server.poll() is None, (tmp_path / "orthanc.log").read_text()
            assert time.monotonic() < deadline, "Orthanc did not answer within a minute"
            time.sleep(0.1)
        yield DICOMwebClient(f"{url}/dicom-web")
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def test_series_goes_through_the_archive_and_its_maps_come_back(
    archive: DICOMwebClient, tmp_path: Path
) -> None:
    files = make_series(tmp_path / "scanner", volume(axes=SAGITTAL, turn=rotation(17, -9)))
    archive.store_instances([pydicom.dcmread(file) for file in files])

    (found,) = archive.search_for_series(search_filters={"PatientID": PATIENT_ID})
    study, series = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    fetched = archive.retrieve_series(study, series)
    assert len(fetched) == len(files)
    save(tmp_path / "fetched", fetched)

    model = make_model(tmp_path / "model")
    output = infer(tmp_path / "fetched", tmp_path / "maps", model, configs=DICOM)
    direct = infer(tmp_path / "scanner", tmp_path / "direct", model, configs=DICOM)
    (case,) = output.results
    outputs = output.results[case].outputs
    paths = {kind: output.folder / case / str(outputs[kind]["name"]) for kind in (*MapName, "mask", "page")}
    archive.store_instances([pydicom.dcmread(path) for path in paths.values()])

    modalities = [one["00080060"]["Value"][0] for one in archive.search_for_series(study)]
    assert sorted(modalities) == sorted(["MR", "SEG", "DOC", *["OT"] * len(MapName)])
    for kind, path in paths.items():
        written = pydicom.dcmread(path)
        (there,) = archive.search_for_instances(
            study, search_filters={"SOPInstanceUID": str(written.SOPInstanceUID)}
        )
        assert there["00080016"]["Value"][0] == written.SOPClassUID
        back = archive.retrieve_instance(study, written.SeriesInstanceUID, written.SOPInstanceUID)
        assert back.PatientID == PATIENT_ID
        if kind == "page":
            assert back.EncapsulatedDocument == written.EncapsulatedDocument
            continue
        assert back.FrameOfReferenceUID == fetched[0].FrameOfReferenceUID
        assert np.array_equal(pixel_array(back), pixel_array(written))
        same = pydicom.dcmread(direct.folder / case / path.name)
        assert np.array_equal(pixel_array(written), pixel_array(same))
