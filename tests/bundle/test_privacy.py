"""What leaves the machine, and what a scan's header says about a person: nothing, in plain processes."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
from nibabel.nifti1 import Nifti1Extension

from tests.bundle.commands import BUNDLE, Ended, WarmCommands, environment
from tests.bundle.conftest import TINY_NETWORK, TINY_TRAINING

PERSON = b"Doe^Jane"
INFERENCE = ("run", "inference", "--config_file", "configs/inference.json", *TINY_NETWORK)
TRAINING = ("run", "training", "--config_file", "configs/train.yaml", "--tracking", "mlflow", *TINY_TRAINING)


@pytest.fixture(scope="session")
def named_cohort(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantoms with the patient in every field of the header that takes words."""
    folder = tmp_path_factory.mktemp("named")
    for source in sorted(tiny_cohort.glob("*/*.nii.gz")):
        image = nibabel.load(source)
        for field in ("descrip", "aux_file", "intent_name", "db_name"):
            image.header[field] = PERSON
        image.header.extensions.append(Nifti1Extension("comment", PERSON))
        target = folder / source.parent.name / source.name
        target.parent.mkdir(exist_ok=True)
        nibabel.save(image, target)
        assert gzip.decompress(target.read_bytes()).count(PERSON) == 5
    return folder


def watched(sockets: Path, *arguments: str, module: str = "monai.bundle", cwd: Path = BUNDLE) -> Ended:
    """Run a module in a new process whose use of the network is refused and written to ``sockets``."""
    sockets.touch()
    command = [sys.executable, str(Path(__file__).with_name("watched.py")), str(sockets), module, *arguments]
    ended = subprocess.run(
        command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=300
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def files_that_name_the_person(folder: Path) -> list[str]:
    """Return the files below a folder with the name in their content, unpacked, or in their own name."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        if PERSON in content or PERSON.decode() in path.name:
            found.append(path.name)
    return found


def test_no_output_and_no_log_repeats_what_a_header_says(
    commands: WarmCommands, named_cohort: Path, random_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "sockets").touch()
    scan = named_cohort / "Phantom_001" / "Phantom_001_t1ce.nii.gz"
    paths = (f"--model_dir={random_model}", f"--dataset_dir={scan}", f"--output_dir={tmp_path / 'maps'}")
    ended = commands.run(*INFERENCE, *paths, sockets=tmp_path / "sockets").check()
    assert len(list((tmp_path / "maps").rglob("*.*"))) > 8
    assert files_that_name_the_person(tmp_path / "maps") == []
    assert PERSON.decode() not in ended.out + ended.err
    assert (tmp_path / "sockets").read_text() == ""


ASKING = """
import socket

def send():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))

for call in (
    lambda: socket.socket().connect(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("name", 1),
    lambda: socket.socket().bind(("0.0.0.0", 0)),
    send,
):
    try:
        call()
    except OSError as error:
        assert "the test refuses" in str(error)
"""


def test_the_watch_sees_and_refuses(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    watched(tmp_path / "sockets", module="asking", cwd=tmp_path).check()
    events = [line.split()[0] for line in (tmp_path / "sockets").read_text().splitlines()]
    assert events == ["socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"]


@pytest.mark.slow
def test_inference_in_a_plain_process_uses_no_network(
    named_cohort: Path, random_model: Path, tmp_path: Path
) -> None:
    paths = (
        f"--model_dir={random_model}",
        f"--dataset_dir={named_cohort / 'Phantom_001'}",
        f"--output_dir={tmp_path / 'maps'}",
    )
    ended = watched(tmp_path / "sockets", *INFERENCE, *paths).check()
    assert (tmp_path / "sockets").read_text() == ""
    assert (tmp_path / "maps" / "index.html").exists()
    assert files_that_name_the_person(tmp_path / "maps") == []
    assert PERSON.decode() not in ended.out + ended.err


@pytest.mark.slow
def test_tracked_training_in_a_plain_process_uses_no_network(named_cohort: Path, tmp_path: Path) -> None:
    paths = (
        f"--dataset_dir={named_cohort}",
        f"--output_dir={tmp_path / 'run'}",
        f"--cache_dir={tmp_path / 'cache'}",
    )
    ended = watched(tmp_path / "sockets", *TRAINING, *paths).check()
    assert (tmp_path / "sockets").read_text() == ""
    assert (tmp_path / "run" / "mlruns.db").exists()
    assert list((tmp_path / "run" / "mlruns").rglob("model.pt"))
    assert files_that_name_the_person(tmp_path) == []
    assert PERSON.decode() not in ended.out + ended.err
