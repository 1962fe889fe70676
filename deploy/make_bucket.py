"""Create the bucket ARTIFACTS (s3://NAME) at MLFLOW_S3_ENDPOINT_URL, unless it is there."""

from __future__ import annotations

import os

import boto3
from botocore.exceptions import ClientError

name = os.environ["ARTIFACTS"].removeprefix("s3://")
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
try:
    store.head_bucket(Bucket=name)
except ClientError as error:
    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
        raise
    store.create_bucket(Bucket=name)
