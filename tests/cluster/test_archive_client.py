import re

import pytest
from s3_endpoints import use

from hippflow.cloud.archive_client import ALLOWED, archive_client, split_archive
from hippflow.errors import StorageError

URL = "s3://lab/some/products"
REFUSED = f"expected a request that the archive at {URL} may make, found "


@pytest.fixture
def guarded(monkeypatch):
    """A client of an archive that fails when it sends anything."""
    use(monkeypatch, {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"})

    def sent(request, **_):
        raise AssertionError(f"{request.method} {request.url}")

    client = archive_client(URL)
    client.meta.events.register_first("before-send.s3", sent)
    return client


def call(client, operation, **params):
    return client._make_api_call(operation, params)


def test_no_other_request_can_be_made(guarded):
    operations = set(guarded.meta.service_model.operation_names)
    assert set(ALLOWED) < operations and len(operations) > 90
    for operation in operations - set(ALLOWED):
        with pytest.raises(StorageError, match=f"{REFUSED}{operation}"):
            call(guarded, operation, Bucket="lab", Key="some/products/a")


def test_of_what_may_be_done_nothing_removes_an_object_or_changes_a_bucket():
    assert {name for name in ALLOWED if not name.startswith(("Head", "List", "Get"))} == {
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
    }


@pytest.mark.parametrize("operation", [name for name in ALLOWED if name != "HeadBucket"])
def test_nothing_outside_the_prefix_can_be_addressed(guarded, operation):
    name = "Prefix" if "Prefix" in ALLOWED[operation] else "Key"
    further = {"UploadId": "x", "PartNumber": 1, "Body": b"", "MultipartUpload": {}}
    params = {key: value for key, value in further.items() if key in ALLOWED[operation]}
    outside = ["some/productsX/a", "some/other/a", "/some/products/a", "a", "some/products", "", "../some/products/a"]
    if name == "Key":
        outside += ["some/products/../../a", "some/products/./a", "some/products//a", "some/products/"]
    addresses = [{"Bucket": "lab", name: key} for key in outside]
    addresses += [{"Bucket": "other", name: "some/products/a"}, {name: "some/products/a"}, {"Bucket": "lab"}]
    for address in addresses:
        with pytest.raises(StorageError, match=f"{REFUSED}{operation}"):
            call(guarded, operation, **address, **params)
    with pytest.raises(AssertionError, match=r"(PUT|POST|DELETE|GET|HEAD) https://s3.amazonaws.com/lab|//lab\."):
        call(guarded, operation, **{"Bucket": "lab", name: "some/products/a"}, **params)


def test_another_bucket_cannot_be_looked_at_and_no_object_made_public(guarded):
    with pytest.raises(StorageError, match=f"{REFUSED}HeadBucket"):
        guarded.head_bucket(Bucket="other")
    with pytest.raises(StorageError, match=f"{REFUSED}PutObject with ACL: "):
        guarded.put_object(Bucket="lab", Key="some/products/a", Body=b"", ACL="public-read")
    with pytest.raises(StorageError, match=f"{REFUSED}DeleteObject"):
        guarded.generate_presigned_url("delete_object", Params={"Bucket": "lab", "Key": "some/products/a"})


@pytest.mark.parametrize("url", ["s3://lab", "s3://lab/", "s3://lab/a/../b", "s3://lab//a", "s3://lab/./a"])
def test_an_archive_without_a_folder_of_its_own_is_refused(url):
    with pytest.raises(StorageError, match=f"{re.escape(url)}: expected a folder in the bucket, as in"):
        split_archive(url)
