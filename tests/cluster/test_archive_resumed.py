"""Uploads to the archive that were killed or left unfinished: they go on, are given up, or are begun again."""

import hashlib
import signal
import subprocess
import sys
import time

import pytest
from archive_place import COMPLETE, DAY, MIB, PART, PROGRAM, Trouble, nth
from debian import wait_until
from s3_endpoints import random_bytes

pytest_plugins = ["archive_place"]


def test_a_killed_upload_goes_on_with_the_parts_that_are_missing(place, proxy):
    data = random_bytes(7 * PART + 1000)
    place.write("a", data), place.write("b", b"small")
    proxy.pause = 0.3
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(place.root), place.url])
    try:
        wait_until(lambda: sum(size > MIB for _, _, size in proxy.log) >= 3, 30, "three parts to arrive")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.5)  # what the proxy has it passes on
    (upload,) = place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
    listed = place.client.list_parts(Bucket=place.bucket, Key=place.key("a"), UploadId=upload["UploadId"])["Parts"]
    there = sum(part["Size"] for part in listed)
    assert 3 * PART <= there < len(data)
    assert place.key("a") not in place.written()
    small = 0 if place.key("b") in place.written() else 5
    proxy.pause = 0
    proxy.log.clear()
    report = place.archive()
    assert f"{DAY}/a" in report.sent and report.ok
    assert proxy.sent_bodies() == report.bytes_sent == len(data) - there + small
    assert place.content() == {place.key("a"): data, place.key("b"): b"small"}
    assert not place.unfinished()


def test_of_several_unfinished_uploads_the_fullest_goes_on_and_the_others_are_given_up(place, proxy):
    data = random_bytes(12 * MIB)
    place.write("a", data)
    place.begin_upload("a", {})
    place.begin_upload("a", {2: data[PART : 2 * PART], 1: random_bytes(PART, 9)})  # of an earlier content
    place.begin_upload("a", {1: data[: 6 * MIB]})  # of another size of parts
    place.begin_upload("a", {4: b"x"})
    place.begin_upload("a", {2: data[PART : 2 * PART]})
    place.begin_upload("of-another-product", {1: b"x"})
    kept = place.client.create_multipart_upload(
        Bucket=place.bucket,
        Key=place.key("a"),
        Metadata={"hippflow-sha256": hashlib.sha256(data).hexdigest()},
    )["UploadId"]
    for number in (1, 3):
        place.client.upload_part(
            Bucket=place.bucket,
            Key=place.key("a"),
            UploadId=kept,
            PartNumber=number,
            Body=data[(number - 1) * PART : number * PART],
        )
    assert place.archive().ok
    assert proxy.sent_bodies() == PART
    assert place.content() == {place.key("a"): data}
    assert place.unfinished() == [place.key("of-another-product")]


def test_an_unfinished_upload_with_a_part_of_another_content_is_not_continued(place, proxy):
    data = random_bytes(7 * MIB)
    place.write("a", data)
    place.begin_upload("a", {1: random_bytes(PART, 9)})
    assert place.archive().ok
    assert proxy.sent_bodies() == len(data)
    assert place.content() == {place.key("a"): data} and not place.unfinished()


def test_unfinished_uploads_of_what_is_there_are_given_up(place, proxy):
    place.write("a", random_bytes(7 * MIB)), place.write("b", b"small")
    place.archive()
    place.begin_upload("a", {1: random_bytes(PART)}), place.begin_upload("b", {})
    proxy.log.clear()
    assert len(place.archive().there) == 2
    assert proxy.sent_bodies() == 0
    assert not place.unfinished()


@pytest.mark.parametrize("there", [0, PART])
def test_an_upload_that_was_begun_for_another_content_does_not_pass_on_its_checksum(place, there):
    """What is there of it is the same, but its metadata can no more be changed, nor be seen before it is completed."""
    data = random_bytes(7 * MIB)
    place.write("a", data)
    place.begin_upload("a", {1: data[:there]} if there else {})
    assert place.archive().ok
    answer = place.client.head_object(Bucket=place.bucket, Key=place.key("a"))
    assert answer["Metadata"] == {"hippflow-sha256": hashlib.sha256(data).hexdigest()}
    assert not place.unfinished()


def test_several_at_once_do_no_harm(place):
    contents = {f"small{number}": random_bytes(1000, number) for number in range(20)} | {"a": random_bytes(17 * MIB)}
    for name, data in contents.items():
        place.write(name, data)
    place.begin_upload("a", {1: contents["a"][:PART]})
    commands = [[sys.executable, "-c", PROGRAM, str(place.root), place.url]] * 3
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert place.content() == {place.key(name): data for name, data in contents.items()}
    assert not place.unfinished()
    assert place.verify(deep=True).ok


def test_an_upload_that_another_process_takes_away_is_begun_again(place, proxy):
    data = random_bytes(12 * MIB)
    place.write("a", data)

    def take_away():
        for upload in place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]:
            place.client.abort_multipart_upload(Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    proxy.trouble = nth(COMPLETE, Trouble(before=take_away))
    assert place.archive().ok
    assert place.content() == {place.key("a"): data} and not place.unfinished()
    place.write("a", random_bytes(12 * MIB, 2))
    proxy.trouble = nth(COMPLETE, *[Trouble(before=take_away)] * 3)
    report = place.archive()
    assert "expected to be alone in archiving it" in report.failed[f"{DAY}/a"]
    assert place.content() == {place.key("a"): data}
