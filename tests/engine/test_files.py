import errno
import os

import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.files import atomic_write, write_error


def test_file_appears_whole_with_its_suffix(tmp_path):
    with atomic_write(tmp_path / "new" / "seg.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.parent == tmp_path / "new"
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "seg.nii.gz").exists()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["seg.nii.gz"]
    assert (tmp_path / "new" / "seg.nii.gz").read_text() == "whole"


def test_failure_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "volumes.tsv"
    target.write_text("old")
    with pytest.raises(DataError), atomic_write(target):
        raise DataError("the image is empty")
    assert os.listdir(tmp_path) == ["volumes.tsv"]
    assert target.read_text() == "old"


def test_interruption_leaves_no_temporary(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a"):
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_full_disk_names_file_and_remedy(tmp_path):
    target = tmp_path / "a.tsv"
    message = r"a\.tsv.*disk is full.*Free"
    with pytest.raises(FileError, match=message) as caught, atomic_write(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.path == str(target)
    assert caught.value.errno == errno.ENOSPC
    assert not os.listdir(tmp_path)


def test_full_disk_at_the_last_flush_is_reported(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(FileError, match="disk is full"), atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert not os.listdir(tmp_path)


def test_trouble_with_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        (tmp_path / "missing.nii").read_bytes()


def test_folder_or_device_in_place_of_a_file_is_refused(tmp_path):
    for place in (tmp_path, "/dev/null"):
        with pytest.raises(FileError, match="no file"), atomic_write(place):
            pass


def test_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileError, match="a file, not a folder"), atomic_write(tmp_path / "a" / "b"):
        pass


def test_permissions_are_kept_or_ordinary(tmp_path):
    target = tmp_path / "a"
    with atomic_write(target) as temporary:
        temporary.chmod(0o600)
    (tmp_path / "b").write_text("")
    assert target.stat().st_mode == (tmp_path / "b").stat().st_mode
    target.chmod(0o640)
    with atomic_write(target):
        pass
    assert target.stat().st_mode & 0o777 == 0o640


def test_link_is_written_through(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_unknown_cause_keeps_the_systems_words():
    assert "Bad address" in str(write_error("a", OSError(errno.EFAULT, "Bad address")))
