import subprocess

from scripts.io import provenance


def test_the_commit_is_that_of_the_checkout_and_changes_show(tmp_path, monkeypatch):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(provenance, "BUNDLE_ROOT", tmp_path)
    assert provenance.commit() == "unknown"
    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "One")
    assert provenance.commit() == git("rev-parse", "HEAD")[:10]
    (tmp_path / "file").write_text("two")
    assert provenance.machine_and_commit()["commit"].endswith("-dirty")
