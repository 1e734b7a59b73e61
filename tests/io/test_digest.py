import hashlib

import pytest

from scripts.errors import InputError
from scripts.io.digest import file_sha256


def test_file_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert file_sha256(path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(InputError, match=r"'.*gone' cannot \(No such file or directory\)"):
        file_sha256(tmp_path / "gone")
