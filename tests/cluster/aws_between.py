"""A server between boto3 and the simulated AWS, which changes single answers, and what clusters look like there."""

import functools
import http.client
import re
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import boto3
from local_ceph import REGION
from local_http import LocalServer

CLUSTER, VERSION = "hippflow", "3.16.1"


class Between(LocalServer):
    """Forwards requests, and shows both to functions that may change what becomes of them.

    Attributes
    ----------
    environment, upstream : dict of str to str
        What makes boto3 use this server, and what lies behind it.
    asked : list of str
        Actions of EC2 and CloudFormation, in order.
    before : callable
        Gets action and form; what it returns, (status, body), is the answer, and nothing is forwarded.
    after : callable
        Gets action, form and body of the answer; returns the body.
    """

    def __init__(self, environment):
        self.upstream = environment
        self._upstream = urlsplit(environment["AWS_ENDPOINT_URL"]).netloc
        self.asked, self.before, self.after = [], None, None
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                between._answer(self)

            def handle(self):
                with suppress(ConnectionResetError):  # the client was killed
                    super().handle()

            def log_message(self, *_):
                pass

        self._serve(Handler, environment)

    def _answer(self, handler):
        data = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        form = {name: values[0] for name, values in parse_qs(data.decode()).items()}
        action = form.get("Action", "")
        self.asked.append(action)
        answer = self.before(action, form) if self.before else None
        if answer is None:
            upstream = http.client.HTTPConnection(self._upstream, timeout=60)
            upstream.request("POST", handler.path, data, dict(handler.headers.items()))
            response = upstream.getresponse()
            body, status = response.read().decode(), response.status
            upstream.close()
        else:
            status, body = answer
        if self.after:
            body = self.after(action, form, body)
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "text/xml")
            handler.send_header("Content-Length", str(len(body.encode())))
            handler.end_headers()
            handler.wfile.write(body.encode())
        except OSError:  # the client was killed
            handler.close_connection = True


def refusal(code, message="as asked", status=403):
    """What EC2 answers to what it refuses."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"


def with_snapshots(body, fields):
    """A listing of snapshots in which fields of some, by id, are others than in the simulated AWS.

    There all are completed, were started at most an hour ago, and belong to the one account.
    """

    def change(entry):
        text, snapshot_id = entry[0], entry[1]
        for name, value in fields.get(snapshot_id, {}).items():
            text = re.sub(f"<{name}>.*?</{name}>", "", text) + f"<{name}>{value}</{name}>"
        return text

    return re.sub(r"<snapshotId>(.*?)</snapshotId>.*?</encrypted>", change, body, flags=re.DOTALL)


def client(environment, service):
    """A client for an environment; making one takes longer than most of the tests."""
    return _client(environment["AWS_ENDPOINT_URL"], service)


@functools.cache
def _client(endpoint, service):
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **keys)


def tags(**named):
    """Tags as requests have them; the cluster's own go by the names cluster, node and version."""
    keys = {"cluster": "cluster-name", "node": "node-type", "version": "version"}
    return [
        {"Key": f"parallelcluster:{keys[name]}" if name in keys else name, "Value": value}
        for name, value in named.items()
    ]


def make_volume(ec2, **named):
    """A volume with tags."""
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    given = [{"ResourceType": "volume", "Tags": tags(**named)}] if named else []
    return ec2.create_volume(AvailabilityZone=zone, Size=500, VolumeType="gp3", TagSpecifications=given)["VolumeId"]


def make_instance(ec2, kind="m6i.xlarge", **named):
    """A running instance with tags."""
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    given = [{"ResourceType": "instance", "Tags": tags(**named)}]
    return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType=kind, TagSpecifications=given)[
        "Instances"
    ][0]


def make_stack(cloudformation, name=CLUSTER, **named):
    """The stack of a cluster, of which the simulated AWS makes nothing but a topic."""
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}}}'
    cloudformation.create_stack(
        StackName=name, TemplateBody=template, Tags=tags(**({"cluster": name, "version": VERSION} | named))
    )
