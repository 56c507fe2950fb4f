"""The archive: what it sends and leaves out, what it finds when it is compared, and that it takes little memory.

Uploads that were not finished are in test_archive_resumed.py, faults on the way in test_archive_faults.py.
"""

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from archive_place import DAY, MIB, PART, PROGRAM
from s3_endpoints import random_bytes

from hippflow.cloud.archive import archive_files

pytest_plugins = ["archive_place"]


def etag_of(data):
    """The ETag of content in parts, by the documentation of S3."""
    if len(data) <= PART:
        return hashlib.md5(data).hexdigest()
    parts = [data[start : start + PART] for start in range(0, len(data), PART)]
    joined = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts))
    return f"{joined.hexdigest()}-{len(parts)}"


def test_files_become_objects_under_their_paths_with_their_checksums(place):
    contents = {
        "day.csv": b"",
        "session01/b ä+%41.hkl": b"x",
        "session01/array01/channel009/rplraw_d41d.hkl": random_bytes(PART),
        "mountains/channel009/firings.hkl": random_bytes(2 * PART + MIB + 5, 2),
    }
    for name, data in contents.items():
        place.write(name, data)
    report = place.archive()
    assert report.ok and not report.there and not report.failed
    assert report.sent == sorted(f"{DAY}/{name}" for name in contents)
    assert report.bytes_sent == report.n_bytes == sum(map(len, contents.values()))
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    for name, data in contents.items():
        answer = place.client.head_object(Bucket=place.bucket, Key=place.key(name))
        assert answer["Metadata"] == {"hippflow-sha256": hashlib.sha256(data).hexdigest()}
        assert answer["ETag"] == f'"{etag_of(data)}"'
    assert not place.unfinished()


def test_what_is_there_is_not_sent_again_and_what_changed_replaces_it(place):
    place.write("a", b"first"), place.write("b", random_bytes(7 * MIB)), place.write("c", b"same")
    place.archive()
    before = place.written()
    report = place.archive()
    assert report.ok and not report.sent and report.bytes_sent == 0 and len(report.there) == 3
    assert place.written() == before
    place.write("a", b"other"), place.write("b", random_bytes(7 * MIB, 2))
    report = place.archive()
    assert report.sent == [f"{DAY}/a", f"{DAY}/b"] and report.there == [f"{DAY}/c"]
    assert place.content() == {
        place.key("a"): b"other",
        place.key("b"): random_bytes(7 * MIB, 2),
        place.key("c"): b"same",
    }


@pytest.mark.parametrize("part", [None, 8 * MIB])
def test_what_another_tool_has_put_in_other_parts_is_not_sent_again(place, part):
    place.write("a", random_bytes(9 * MIB))
    place.put("a", random_bytes(9 * MIB), part)
    assert place.archive().there == [f"{DAY}/a"]
    place.put("a", random_bytes(9 * MIB, 2), part)
    assert place.archive().sent == [f"{DAY}/a"]
    assert place.content()[place.key("a")] == random_bytes(9 * MIB)


def test_a_file_that_cannot_be_archived_is_named_and_the_others_go_on(moto_place):
    (outside := moto_place.root.parent / "outside").mkdir()
    (outside / "secret").write_bytes(b"secret")
    good = moto_place.write("good", b"good")
    moto_place.write("ctrl\n", b"x")
    day = good.parent
    os.mkfifo(day / "fifo")
    (day / "away").symlink_to(outside / "secret")
    (day / "folder").symlink_to(outside)
    (day / "loop").symlink_to("loop")
    (day / "inside").symlink_to("good")
    files = [*moto_place.files, day / "gone", outside / "secret", day / ".." / ".." / ".." / "outside" / "secret"]
    report = archive_files(moto_place.root, files, moto_place.url)
    assert not report.ok and report.n_files == 10
    assert moto_place.content() == {moto_place.key("good"): b"good", moto_place.key("inside"): b"good"}
    expected = {
        f"{DAY}/fifo": "fifo: expected a file of at most 5 TiB, found something else",
        f"{DAY}/away": f"below {moto_place.root}, found a link that leads outside it, to {outside}/secret",
        f"{DAY}/folder": "folder: expected a file below .*, found a link that leads outside it",
        f"{DAY}/loop": "loop: expected a file that can be read, found: Too many levels of symbolic links",
        f"{DAY}/gone": "gone: expected a file that can be read, found: No such file or directory",
        str(outside / "secret"): f"secret: expected a file below {moto_place.root}, found one elsewhere",
        str(
            files[-1]
        ): "found '../outside/secret'|found 'picasso/20181105/../../../outside/secret', which has an empty",
        str(day / "ctrl\n"): "which has control characters; rename it",
    }
    assert set(report.failed) == set(expected)
    for name, pattern in expected.items():
        assert re.search(pattern, report.failed[name]), report.failed[name]


def test_a_name_that_is_no_utf8_or_too_long_is_refused(moto_place):
    moto_place.write("good", b"good")
    day = moto_place.root / DAY
    (day / os.fsdecode(b"\xff")).write_bytes(b"x")
    deep = day.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"x")
    report = moto_place.archive()
    assert report.sent == [f"{DAY}/good"]
    no_utf8, long = sorted(report.failed.values(), key=len)
    assert r"'picasso/20181105/\\udcff', which is no UTF-8; rename it" in no_utf8
    assert f"{len(f'some/products/{DAY}/') + 1006} bytes (at most 1024); rename it" in long


def test_verification_finds_what_is_missing_different_and_extra(place):
    for name, data in {"same": b"same", "large": random_bytes(7 * MIB), "short": b"short", "bad": b"good"}.items():
        place.write(name, data)
    log = place.root / "logs" / "edfsplit" / f"{DAY}.log"
    log.parent.mkdir(parents=True)
    log.write_text("done")
    place.archive()
    report = place.verify()
    assert report.ok and report.same == report.n_files == 5 and not report.extra
    assert report.to_dict()["ok"] is True
    place.write("new", b"new")
    (place.root / DAY / "link").symlink_to("/etc/hostname")
    place.put("link", b"x")
    place.put("short", b"shor")
    place.put("bad", b"evil", Metadata={"hippflow-sha256": hashlib.sha256(b"good").hexdigest()})
    corrupted = bytearray(random_bytes(7 * MIB))
    corrupted[6 * MIB] ^= 1
    place.put("large", bytes(corrupted), PART)
    place.put("old.hkl", b"of other parameters")
    place.client.put_object(Bucket=place.bucket, Key="some/products/picasso/20181106/a", Body=b"of another day")
    place.begin_upload("new", {1: b"x"})
    report = place.verify()
    assert not report.ok
    assert report.missing == [f"{DAY}/new"]
    assert report.different == {
        f"{DAY}/short": "expected 5 bytes, found 4",
        f"{DAY}/bad": f"expected ETag {hashlib.md5(b'good').hexdigest()}, found {hashlib.md5(b'evil').hexdigest()}",
        f"{DAY}/large": f"expected ETag {etag_of(random_bytes(7 * MIB))}, found {etag_of(bytes(corrupted))}",
    }
    assert list(report.unreadable) == [f"{DAY}/link"]
    assert report.extra == [f"{DAY}/old.hkl"]
    assert report.unfinished == [f"{DAY}/new"]
    assert report.same == 2 and report.n_files == 7
    assert json.loads(json.dumps(report.to_dict()))["missing"] == [f"{DAY}/new"]


def test_an_encrypted_object_is_compared_by_the_checksum_that_was_kept(moto_place):
    """With a key of KMS, its ETag is no MD5 of its content."""
    moto_place.write("a", b"good"), moto_place.write("b", b"good")
    kept = {"hippflow-sha256": hashlib.sha256(b"good").hexdigest()}
    # Stands for an ETag that says nothing: that of other bytes.
    moto_place.put("a", b"evil", Metadata=kept, ServerSideEncryption="aws:kms")
    moto_place.put("b", b"evil", ServerSideEncryption="aws:kms")
    report = moto_place.verify()
    expected = kept["hippflow-sha256"]
    assert report.different == {f"{DAY}/b": f"expected SHA-256 {expected}, found none kept"}
    assert set(moto_place.verify(deep=True).different) == {f"{DAY}/a", f"{DAY}/b"}
    assert moto_place.archive().sent == [f"{DAY}/b"]


def test_memory_does_not_grow_with_the_file(place):
    used = {}
    for n_mib in (20, 200):
        with place.write("a", b"").open("r+b") as file:
            file.truncate(n_mib * MIB)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(place.root), place.url],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        )
        used[n_mib] = int(done.stdout) / 1024
        assert place.client.head_object(Bucket=place.bucket, Key=place.key("a"))["ContentLength"] == n_mib * MIB
    assert used[200] - used[20] < 15


def test_on_the_wire_nothing_but_uploads_is_removed_and_all_keys_are_below_the_prefix(place, proxy):
    place.write("a", random_bytes(12 * MIB)), place.write("b", b"small")
    place.begin_upload("a", {1: b"x"})
    place.archive()
    place.verify(deep=True)
    below = re.compile(rf"/{place.bucket}/some/products/picasso/20181105/[ab](\?|$)")
    listing = re.compile(rf"/{place.bucket}\?.*prefix=some(%2F|/)products(%2F|/)")
    assert {method for method, _, _ in proxy.log} == {"GET", "HEAD", "PUT", "POST", "DELETE"}
    for method, path, _ in proxy.log:
        assert below.match(path) or (method == "GET" and listing.match(path)), path
        assert method != "DELETE" or "?uploadId=" in path, path
