import ast
import hashlib
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from debian import free_ports
from s3_endpoints import Fault, FaultyProxy, random_bytes, use, writer

from hippflow.cloud import s3
from hippflow.cloud.ranged import RangedFile
from hippflow.cloud.s3 import S3Object, explain, list_objects, read_range, s3_client, split_url
from hippflow.errors import StorageError

CLOUD = Path(s3.__file__).parent
READING = [CLOUD / f"{name}.py" for name in ("s3", "errors_s3", "download", "workers", "journal", "etag", "ranged")]


@pytest.fixture
def bucket(moto, monkeypatch):
    """A client that may write to an empty bucket `lab`, which boto3 is set up for."""
    use(monkeypatch, moto)
    client = writer(moto)
    client.create_bucket(Bucket="lab")
    return client


@pytest.mark.parametrize(
    "url, parts",
    [
        ("s3://lab", ("lab", "")),
        ("s3://lab/", ("lab", "")),
        ("s3://lab.data-1/raw/x y", ("lab.data-1", "raw/x y")),
        ("s3://lab/raw/", ("lab", "raw/")),
    ],
)
def test_an_address_is_split_into_bucket_and_prefix(url, parts):
    assert split_url(url) == parts


@pytest.mark.parametrize("url", ["lab/raw", "s3:/lab/raw", "s3://", "s3:///raw", "https://lab/raw", "s3://LAB/raw", ""])
def test_what_is_no_address_of_a_bucket_is_refused(url):
    with pytest.raises(StorageError, match="expected an address like s3://bucket/folder"):
        split_url(url)


@pytest.mark.parametrize("prefix", ["raw", "raw/"])
def test_a_prefix_is_a_folder(bucket, prefix):
    for key in ("raw", "raw/a.ns5", "raw/day/b.nev", "raw2/c", "rawness", "raw/zero"):
        bucket.put_object(Bucket="lab", Key=key, Body=b"" if key == "raw/zero" else key.encode())
    for marker in ("raw/", "raw/day/", "raw/none/"):
        bucket.put_object(Bucket="lab", Key=marker, Body=b"")
    found = list_objects(f"s3://lab/{prefix}")
    assert sorted(found) == ["a.ns5", "day/b.nev", "zero"]
    assert found["day/b.nev"].url == "s3://lab/raw/day/b.nev"
    assert found["day/b.nev"].size == len("raw/day/b.nev")
    assert found["day/b.nev"].etag == hashlib.md5(b"raw/day/b.nev").hexdigest()
    assert abs(found["day/b.nev"].modified - time.time()) < 60


def test_a_bucket_without_prefix_is_listed_whole(bucket):
    for key in ("a", "b/ä c+%41.nev"):
        bucket.put_object(Bucket="lab", Key=key, Body=b"x")
    assert sorted(list_objects("s3://lab")) == sorted(list_objects("s3://lab/")) == ["a", "b/ä c+%41.nev"]


def test_a_prefix_with_nothing_below_it_is_empty(bucket):
    assert list_objects("s3://lab/raw") == {}


def test_more_objects_than_a_page_holds_are_listed_in_as_few_requests_as_there_are_pages(bucket, moto, monkeypatch):
    keys = [f"raw/{number:04d}" for number in range(1005)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: bucket.put_object(Bucket="lab", Key=key, Body=b""), keys))
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        assert sorted(list_objects("s3://lab/raw")) == [key[4:] for key in keys]
    assert len(proxy.log) == 2


@pytest.mark.parametrize("key", ["raw/../../etc/passwd", "raw//tmp/x", "raw/a//b", "raw/./x", "raw/day/.."])
def test_a_key_that_would_leave_a_folder_is_refused(ceph, monkeypatch, key):
    use(monkeypatch, ceph)
    client = writer(ceph)
    name = f"keys-{hashlib.md5(key.encode()).hexdigest()}"
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key=key, Body=b"x")
    with pytest.raises(StorageError, match=re.escape(f"s3://{name}/{key}: expected a key that can be a path")):
        list_objects(f"s3://{name}/raw")


def test_the_start_of_an_object_is_read_and_no_more(bucket, moto, monkeypatch):
    data = random_bytes(300_000)
    bucket.put_object(Bucket="lab", Key="a", Body=data)
    obj = list_objects("s3://lab")["a"]
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        client = s3_client()
        assert read_range(obj, 0, 1000, client) == data[:1000]
        assert proxy.sent == 1000
        assert read_range(obj, 0, 10**9, client) == data
        assert read_range(obj, 0, 0, client) == b""
    assert proxy.objects_got == [(0, 999), (0, 299_999)]


def test_an_object_is_read_as_a_file_block_by_block(bucket, moto, monkeypatch):
    data = random_bytes(300_000)
    bucket.put_object(Bucket="lab", Key="a", Body=data)
    obj = list_objects("s3://lab")["a"]
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        with RangedFile(obj, s3_client()) as file:
            assert file.read(10) == data[:10]
            assert (file.seek(-20, io.SEEK_END), file.read()) == (len(data) - 20, data[-20:])
            assert (file.seek(65_530), file.read(10)) == (65_530, data[65_530:65_536])
            assert file.read(3) == data[65_536:65_539]
    assert proxy.objects_got == [(0, 65_535), (262_144, 299_999), (65_536, 131_071)]


def test_an_endpoint_that_ignores_ranges_is_refused(bucket, moto, monkeypatch):
    bucket.put_object(Bucket="lab", Key="a", Body=b"0123456789")
    obj = list_objects("s3://lab")["a"]
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        proxy.always = Fault(whole=True)
        with pytest.raises(StorageError, match="s3://lab/a: expected bytes 4 on .*ignores ranges"):
            read_range(obj, 4, 3, s3_client())


def test_the_start_of_an_object_that_changed_is_refused(bucket):
    bucket.put_object(Bucket="lab", Key="a", Body=b"first")
    obj = list_objects("s3://lab")["a"]
    bucket.put_object(Bucket="lab", Key="a", Body=b"other")
    with pytest.raises(StorageError, match="s3://lab/a at .*changed since the run was planned; start again"):
        read_range(obj, 0, 3, s3_client())


def test_an_endpoint_that_does_not_compare_etags_does_not_hide_a_change(bucket, moto, monkeypatch):
    bucket.put_object(Bucket="lab", Key="a", Body=b"first")
    obj = list_objects("s3://lab")["a"]
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        proxy.always = Fault(etag="0" * 32)
        with pytest.raises(StorageError, match=f"ETag {obj.etag}.*found ETag 0{{32}}: it changed"):
            read_range(obj, 0, 3, s3_client())


def refusal(action):
    """The message with which an action fails, within the time that a user waits for it."""
    start = time.monotonic()
    with pytest.raises(StorageError) as caught:
        action()
    assert time.monotonic() - start < 12
    return str(caught.value)


def test_missing_credentials_are_named(moto, monkeypatch):
    use(monkeypatch, {"AWS_ENDPOINT_URL": moto["AWS_ENDPOINT_URL"]})
    said = refusal(lambda: list_objects("s3://lab/raw"))
    assert said.startswith(f"s3://lab/raw at {moto['AWS_ENDPOINT_URL']}: expected credentials, found none")
    assert "AWS_ACCESS_KEY_ID" in said


def test_half_of_the_credentials_are_not_enough(moto, monkeypatch):
    use(monkeypatch, {name: moto[name] for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID")})
    assert "expected complete credentials" in refusal(lambda: list_objects("s3://lab/raw"))


def test_a_profile_that_is_not_there_is_named(monkeypatch):
    use(monkeypatch, {"AWS_PROFILE": "lab-of-elsewhere"})
    assert "lab-of-elsewhere" in refusal(s3_client)


def test_an_unknown_key_is_refused(ceph, monkeypatch):
    use(monkeypatch, ceph | {"AWS_ACCESS_KEY_ID": "NOBODY"})
    said = refusal(lambda: list_objects("s3://lab/raw"))
    assert "found InvalidAccessKeyId (HTTP 403); correct AWS_ACCESS_KEY_ID" in said


def test_a_wrong_secret_is_refused_and_not_repeated(ceph, monkeypatch):
    use(monkeypatch, ceph | {"AWS_SECRET_ACCESS_KEY": "verysecretword"})
    said = refusal(lambda: list_objects("s3://lab/raw"))
    assert "found SignatureDoesNotMatch (HTTP 403); correct AWS_SECRET_ACCESS_KEY" in said
    assert "verysecretword" not in said


def test_a_missing_bucket_is_named(ceph, monkeypatch):
    use(monkeypatch, ceph)
    said = refusal(lambda: list_objects("s3://not-there/raw"))
    assert said == (
        f"s3://not-there/raw at {ceph['AWS_ENDPOINT_URL_S3']}: expected a bucket not-there, found NoSuchBucket "
        "(HTTP 404); correct the bucket's name, or AWS_ENDPOINT_URL_S3"
    )


def test_a_missing_object_is_named(bucket):
    obj = S3Object("s3://lab/gone", 10, "0" * 32, 0.0)
    said = refusal(lambda: read_range(obj, 0, 5, s3_client()))
    assert "s3://lab/gone" in said and "expected an object of this name, found NoSuchKey (HTTP 404)" in said


def test_a_dead_port_is_named(moto, monkeypatch):
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    use(monkeypatch, moto | {"AWS_ENDPOINT_URL_S3": endpoint})
    said = refusal(lambda: list_objects("s3://lab/raw"))
    assert said.startswith(f"s3://lab/raw at {endpoint}: expected an endpoint that answers")
    assert "AWS_ENDPOINT_URL_S3" in said


def test_an_unknown_host_is_named(moto, monkeypatch):
    use(monkeypatch, moto | {"AWS_ENDPOINT_URL_S3": "http://user:hidden@no-such-host.invalid:9000"})
    said = refusal(lambda: list_objects("s3://lab/raw"))
    assert said.startswith("s3://lab/raw at http://no-such-host.invalid:9000: expected an endpoint that answers")
    assert "hidden" not in said


def test_an_endpoint_that_is_no_url_is_refused(moto, monkeypatch):
    use(monkeypatch, moto | {"AWS_ENDPOINT_URL_S3": "127.0.0.1:9000"})
    assert "127.0.0.1:9000" in refusal(s3_client)


@pytest.mark.parametrize(
    "status, code, advice",
    [
        (400, "ExpiredToken", "the session token has expired; get new credentials"),
        (403, "RequestExpired", "the session token has expired"),
        (403, "InvalidClientTokenId", "correct AWS_ACCESS_KEY_ID"),
        (403, "AccessDenied", "they may list and read this bucket (s3:ListBucket, s3:GetObject)"),
        (403, "RequestTimeTooSkewed", "set the clock of this machine"),
        (400, "AuthorizationHeaderMalformed", "set AWS_REGION to what `aws s3api get-bucket-location --bucket lab`"),
        (400, "IllegalLocationConstraintException", "set AWS_REGION to"),
        (412, "PreconditionFailed", "it changed since the run was planned; start again"),
        (503, "SlowDown", "try again later"),
        (418, "Teapot", "found Teapot (HTTP 418) as asked"),
    ],
)
def test_a_refusal_is_explained(moto, monkeypatch, status, code, advice):
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment | {"AWS_SESSION_TOKEN": "secrettoken"})
        proxy.always = Fault(status=status, code=code)
        said = refusal(lambda: list_objects("s3://lab/raw"))
    assert said.startswith(f"s3://lab/raw at {proxy.environment['AWS_ENDPOINT_URL_S3']}: expected ")
    assert f"found {code} (HTTP {status})" in said
    assert advice in said
    assert "secrettoken" not in said


def test_an_endpoint_that_redirects_everything_is_explained(moto, monkeypatch):
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        proxy.always = Fault(status=301)
        said = refusal(lambda: list_objects("s3://lab/raw"))
    assert "found redirections alone; set AWS_REGION to the bucket's region, or write https://" in said


def test_a_server_that_speaks_another_protocol_is_not_an_empty_bucket(moto, monkeypatch):
    with FaultyProxy(moto) as proxy:
        use(monkeypatch, proxy.environment)
        proxy.always = Fault(status=200, code="not a listing")
        said = refusal(lambda: list_objects("s3://lab/raw"))
    assert "expected a listing, found an answer that is none; correct AWS_ENDPOINT_URL_S3" in said


def test_the_region_that_a_redirection_names_is_told():
    response = {
        "Error": {"Code": "PermanentRedirect"},
        "ResponseMetadata": {"HTTPStatusCode": 301, "HTTPHeaders": {"x-amz-bucket-region": "eu-central-1"}},
    }
    said = str(explain(ClientError(response, "ListObjectsV2"), "s3://lab/raw"))
    assert said.endswith(
        "expected the bucket's own region, found PermanentRedirect (HTTP 301); set AWS_REGION to eu-central-1"
    )


@pytest.mark.parametrize("kind", [ConnectTimeoutError, ReadTimeoutError])
def test_a_timeout_is_explained(kind):
    said = str(explain(kind(endpoint_url="http://u:p@10.0.0.1:80/lab?list-type=2"), "s3://lab/raw"))
    assert said.startswith("s3://lab/raw at http://10.0.0.1:80: expected an endpoint that answers, found: ")
    assert "u:p" not in said


def test_secrets_in_the_text_of_an_error_are_blotted_out(monkeypatch):
    use(monkeypatch, {"AWS_SECRET_ACCESS_KEY": "verysecretword"})
    said = str(explain(ValueError("cannot use verysecretword"), "s3://lab"))
    assert "found: cannot use <AWS_SECRET_ACCESS_KEY>;" in said


@pytest.mark.parametrize(
    "environment, region",
    [({}, "us-east-1"), ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"), ({"AWS_REGION": "ap-east-1"}, "ap-east-1")],
)
def test_the_region_is_taken_from_the_environment(monkeypatch, environment, region):
    use(monkeypatch, environment)
    assert s3_client().meta.region_name == region


@pytest.mark.parametrize("path", READING, ids=lambda path: path.name)
def test_no_request_that_writes_to_a_bucket_is_in_the_source(path):
    writes = re.compile(
        r"(put|delete|create|upload|copy|restore|write_get)_\w+|complete_multipart\w*|upload|copy|resource"
    )
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not [name for name in called if writes.fullmatch(name)]
