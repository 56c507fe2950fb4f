"""Faults between the archive and its bucket: what is borne, what is sent again, and what ends in one clear error."""

import hashlib
import os
import re

import pytest
from archive_place import COMPLETE, CREATE, DAY, MIB, PART, SEND, Proxy, Trouble, nth
from debian import free_ports
from s3_endpoints import random_bytes, use

from hippflow.cloud.workers import Patience
from hippflow.errors import StorageError

pytest_plugins = ["archive_place"]


def test_a_lost_answer_sends_nothing_again(place, proxy):
    data = random_bytes(7 * MIB)
    place.write("a", data)
    proxy.trouble = nth(COMPLETE, Trouble(lose=True))
    report = place.archive()
    assert report.ok and report.bytes_sent == proxy.sent_bodies() == len(data)
    assert place.content() == {place.key("a"): data} and not place.unfinished()


def test_refusals_and_lost_connections_are_borne(place, proxy):
    contents = {"a": random_bytes(12 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    busy = Trouble(status=503, code="SlowDown")
    bursts = {
        SEND: nth(SEND, busy, Trouble(cut=True), busy, Trouble(lose=True), Trouble(status=500, code="InternalError")),
        CREATE: nth(CREATE, busy, busy),
        COMPLETE: nth(COMPLETE, busy, busy),
        "list-type": nth("list-type", busy, busy),
        "/b": nth(r"^PUT .*/b", Trouble(cut=True), Trouble(lose=True)),
    }
    proxy.trouble = lambda request: next((found for choose in bursts.values() if (found := choose(request))), None)
    report = place.archive(patience=Patience(attempts=8, seconds=30, first_pause=0.02, longest_pause=0.05))
    assert report.ok
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    assert not place.unfinished()


@pytest.mark.parametrize("endpoint", ["place", "moto_place"])
def test_a_byte_that_changes_on_the_way_is_sent_again(request, monkeypatch, endpoint, caplog):
    """One endpoint refuses what does not fit its checksum, the other stores it and tells the ETag."""
    place = request.getfixturevalue(endpoint)
    contents = {"a": random_bytes(7 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    with Proxy(place.environment) as proxy:
        use(monkeypatch, proxy.environment)
        part, small = nth(SEND, Trouble(flip=1_000_000)), nth("^PUT .*/b", Trouble(flip=2))
        proxy.trouble = lambda request: part(request) or small(request)
        assert place.archive().ok
        assert caplog.text.count("arrived damaged") == 2
        assert place.content() == {place.key(name): data for name, data in contents.items()}
        place.write("b", b"other")
        proxy.trouble = lambda _: Trouble(flip=2)
        with pytest.raises(StorageError, match=f"{DAY}/b: expected bytes 0 to 5 with MD5 .* to arrive, found .* 3 tim"):
            place.archive()


def test_a_file_that_changes_while_it_is_read_is_named_and_leaves_what_was_there(place, proxy):
    place.write("a", random_bytes(12 * MIB)), place.write("b", b"good"), place.write("small", b"before")
    place.archive()
    old = place.content()
    path, small = place.write("a", random_bytes(12 * MIB, 2)), place.write("small", b"during")
    place.write("b", b"better")

    def change():
        with path.open("r+b") as file:
            file.seek(11 * MIB)
            file.write(b"changed")

    amid = nth(SEND, Trouble(before=change))
    after = nth("^PUT .*/small", Trouble(before=lambda: small.write_bytes(b"after it")))
    proxy.trouble = lambda request: amid(request) or after(request)
    report = place.archive(connections=1)
    assert report.sent == [f"{DAY}/b"] and set(report.failed) == {f"{DAY}/a", f"{DAY}/small"}
    said = f"{path}: expected a finished file, found that it changed while it was being archived; archive it again"
    assert report.failed[f"{DAY}/a"].startswith(said)
    assert place.content()[place.key("a")] == old[place.key("a")]
    assert not place.unfinished()
    assert place.archive().ok and place.verify().ok


def test_a_product_that_is_made_anew_while_it_is_sent_is_named(place, proxy):
    path = place.write("a", random_bytes(7 * MIB))
    new = place.root / "new"
    new.write_bytes(random_bytes(7 * MIB, 2))
    proxy.trouble = nth(SEND, Trouble(before=lambda: new.replace(path)))
    assert "found that it changed while it was being archived" in place.archive().failed[f"{DAY}/a"]
    assert not place.unfinished() and not place.content()
    assert place.archive().ok
    assert place.content() == {place.key("a"): random_bytes(7 * MIB, 2)}


def test_a_file_that_is_cut_off_while_it_is_sent_is_named(moto_place, moto_proxy):
    path = moto_place.write("a", random_bytes(19 * MIB))
    moto_proxy.trouble = nth(CREATE, Trouble(before=lambda: os.truncate(path, MIB)))
    report = moto_place.archive()
    assert "found that it changed while it was being archived" in report.failed[f"{DAY}/a"]
    assert not moto_place.unfinished() and not moto_place.content()


def test_a_corrupted_object_with_the_right_etag_is_found_by_downloading_it(place, proxy):
    contents = {"a": random_bytes(300_000), "b": b"", "c": random_bytes(7 * MIB, 3)}
    for name, data in contents.items():
        place.write(name, data)
    place.archive()
    proxy.trouble = lambda request: Trouble(flip=200_000) if re.search("^GET .*/[ac]$", request) else None
    assert place.verify().ok
    report = place.verify(deep=True)
    assert set(report.different) == {f"{DAY}/a", f"{DAY}/c"} and report.same == 1
    wrong = bytearray(contents["a"])
    wrong[200_000] ^= 1
    right, found = (hashlib.sha256(data).hexdigest() for data in (contents["a"], wrong))
    assert report.different[f"{DAY}/a"] == f"expected SHA-256 {right}, found {found}"
    proxy.trouble = nth("^GET .*/c$", Trouble(cut=True), Trouble(status=503, code="SlowDown"), Trouble(cut=True))
    report = place.verify(deep=True)
    assert report.ok and report.same == 3 and report.deep


def test_a_dead_endpoint_is_one_clear_error(place, monkeypatch):
    place.write("a", b"x")
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    use(monkeypatch, place.environment | {"AWS_ENDPOINT_URL_S3": endpoint})
    for action in (place.archive, place.verify):
        with pytest.raises(StorageError, match=f"{place.url} at {endpoint}: expected an endpoint that answers"):
            action()


def test_an_endpoint_that_goes_away_is_one_clear_error_and_the_rest_is_sent_later(place, proxy):
    contents = {"a": random_bytes(19 * MIB), "b": b"small"}
    for name, data in contents.items():
        place.write(name, data)
    proxy.trouble = lambda request: Trouble(cut=True) if "partNumber=3" in request else None
    with pytest.raises(StorageError, match=f"{DAY}/a at .*: expected an endpoint that answers"):
        place.archive(connections=1)
    proxy.trouble = Proxy.trouble
    proxy.log.clear()
    assert place.archive().ok
    assert proxy.sent_bodies() < 19 * MIB - PART
    assert place.content() == {place.key(name): data for name, data in contents.items()}


def test_a_missing_bucket_is_not_made(place):
    place.write("a", b"x")
    place.url = "s3://not-there/some/products"
    for action in (place.archive, place.verify):
        with pytest.raises(StorageError, match=r"expected a bucket not-there, found NoSuchBucket \(HTTP 404\)"):
            action()
    names = [bucket["Name"] for bucket in place.client.list_buckets()["Buckets"]]
    assert place.bucket in names and "not-there" not in names


@pytest.mark.parametrize("pattern", ["list-type", "uploads", "^PUT"])
def test_a_forbidden_request_is_one_clear_error(moto_place, moto_proxy, pattern):
    moto_place.write("a", b"x")
    moto_proxy.trouble = lambda request: (
        Trouble(status=403, code="AccessDenied") if re.search(pattern, request) else None
    )
    with pytest.raises(StorageError, match=r"expected permission to archive, found AccessDenied \(HTTP 403\).*PutObj"):
        moto_place.archive()


def test_a_server_that_speaks_another_protocol_is_no_empty_archive(moto_place, moto_proxy):
    moto_place.write("a", b"x")
    moto_proxy.trouble = lambda _: Trouble(status=200, code="not a listing")
    with pytest.raises(StorageError, match="expected a listing, found an answer that is none; correct AWS_ENDPOINT"):
        moto_place.archive()
