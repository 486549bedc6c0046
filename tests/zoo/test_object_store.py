"""Publishing to an S3 server, and pulling from it."""

from __future__ import annotations

import json
import subprocess
import sys

import boto3
import numpy as np
import pytest
import yaml
from botocore.exceptions import ClientError
from helpers import toy
from helpers.rounding import ROUNDING
from moto.server import ThreadedMotoServer

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo import remote
from scbasset_zoo.zoo.models import find_package

ZOO = "s3://models/zoo"


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """A client of an empty bucket, which zoo.yaml names as the only source."""
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    for variable, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SCBASSET_ZOO_CACHE": str(tmp_path / "cache"),
        "SCBASSET_ZOO_CONFIG": str(tmp_path / "zoo.yaml"),
    }.items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"sources": {"bundled": {"location": ZOO}}}))
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    yield client
    for entry in client.list_objects_v2(Bucket="models").get("Contents", []):
        client.delete_object(Bucket="models", Key=entry["Key"])
    client.delete_bucket(Bucket="models")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("store") / "toy", id="lab/blood").folder


def body(bucket, key):
    return bucket.get_object(Bucket="models", Key=key)["Body"].read()


def test_a_published_package_predicts_the_same_from_the_store(bucket, package):
    sequences = toy.random_sequences(2)
    expected = sz.open_model(package, "cpu").embed(sequences)
    sz.publish(package, ZOO)
    for path in package.rglob("*"):
        if path.is_file():
            assert body(bucket, f"zoo/lab/blood/1.0.0/{path.relative_to(package).as_posix()}") == path.read_bytes()
    np.testing.assert_allclose(sz.open_model("lab/blood", "cpu").embed(sequences), expected, atol=ROUNDING)
    assert find_package(f"{ZOO}/lab/blood/1.0.0").verify() == []
    assert [(m.id, m.on_this_machine) for m in sz.list_models()] == [("lab/blood", True)]


def test_publishing_keeps_other_versions_and_changes_none(bucket, package, tmp_path, capsys):
    sz.publish(package, "bundled")
    sz.publish(toy.toy_package(tmp_path / "next", id="lab/blood", version="1.1.0").folder, ZOO)
    assert [m["version"] for m in json.loads(body(bucket, "zoo/index.json"))["models"]] == ["1.0.0", "1.1.0"]
    sz.publish(package, ZOO)
    assert "nothing to do" in capsys.readouterr().err
    other = toy.toy_package(tmp_path / "other", id="lab/blood", seed=5).folder
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, ZOO)
    bucket.delete_object(Bucket="models", Key="zoo/index.json")
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, ZOO)
    assert body(bucket, "zoo/lab/blood/1.0.0/model.onnx") == (package / "model.onnx").read_bytes()


def test_changed_bytes_in_the_store_are_refused(bucket, package):
    sz.publish(package, ZOO)
    raw = bytearray((package / "model.onnx").read_bytes())
    raw[100] ^= 1
    bucket.put_object(Bucket="models", Key="zoo/lab/blood/1.0.0/model.onnx", Body=bytes(raw))
    with pytest.raises(PackageError, match=r"model.onnx of s3://.* does not have the expected hash"):
        sz.pull("lab/blood")
    bucket.put_object(Bucket="models", Key="zoo/lab/blood/1.0.0/model.onnx", Body=bytes(raw[:-1]))
    with pytest.raises(SourceError, match=r"model.onnx"):
        sz.pull("lab/blood")


def test_a_download_from_the_store_is_resumed(bucket, package, tmp_path):
    """The bytes in the cache are not read again: the test replaces the beginning of the object, and the package is still right."""
    sz.publish(package, ZOO)
    whole = (package / "model.onnx").read_bytes()
    card_sha256 = Package.open(package).card_sha256
    part = tmp_path / "cache/partial" / card_sha256 / "package/model.onnx"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:5_000])
    bucket.put_object(Bucket="models", Key="zoo/lab/blood/1.0.0/model.onnx", Body=b"x" * 5_000 + whole[5_000:])
    assert sz.pull("lab/blood").verify() == []


def test_missing_objects_and_buckets_are_errors(bucket, package):
    with pytest.raises(SourceError, match=r"s3://models/zoo/index.json: there is nothing"):
        sz.list_models()
    with pytest.raises(SourceError, match=r"no-such-bucket"):
        sz.publish(package, "s3://no-such-bucket/zoo")
    with pytest.raises(ClientError):
        body(bucket, "zoo/index.json")


def test_an_error_names_the_missing_extra(bucket):
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "import scbasset_zoo as sz\n"
        f"try: sz.pull('{ZOO}/x')\n"
        "except sz.InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install '.[remote]'" in done.stdout


def test_other_kinds_of_stores_are_refused(bucket):
    with pytest.raises(InputError, match="cannot be read"):
        sz.pull("gs://models/zoo/x")
