"""MinIO: its login and its process."""

from __future__ import annotations

from include.local.layout import Stack
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.local.servers.process import Process
from include.local.setup import minio_build

USER = "paylake"


def process(stack: Stack, secrets: Secrets) -> Process:
    """The server under supervisor."""
    return Process(
        name="minio",
        command=[
            str(minio_build.binary(stack)),
            "server",
            "--address",
            f"{HOST}:{stack.ports.minio}",
            "--console-address",
            f"{HOST}:{stack.ports.minio_console}",
            str(stack.home / "minio"),
        ],
        environment={
            "MINIO_ROOT_USER": USER,
            "MINIO_ROOT_PASSWORD": secrets.minio_password,
            "MINIO_BROWSER": "on",
            # Neither looks for updates nor reports home.
            "MINIO_UPDATE": "off",
            "MINIO_CALLHOME_ENABLE": "off",
        },
        address=f"http://{HOST}:{stack.ports.minio}",
    )
