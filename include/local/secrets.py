"""The passwords of a stack: generated at its first start, never in the repository."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, fields

from include.errors import StackError
from include.files import write_private
from include.local.layout import Stack


@dataclass(frozen=True, slots=True)
class Secrets:
    """One password per role. All are made of characters that need no quoting in a URI, a shell or an ini file."""

    minio_password: str
    postgres_password: str
    warehouse_password: str
    airflow_db_password: str
    airflow_password: str
    airflow_jwt_secret: str
    airflow_api_secret: str
    airflow_fernet_key: str


def ensure_secrets(stack: Stack) -> Secrets:
    """Read the stack's secrets; generate those that are not there yet.

    Raises:
        StackError: the file is damaged. It is not replaced: the servers' data is locked with what it held.
    """
    known = _read(stack)
    if missing := [field.name for field in fields(Secrets) if field.name not in known]:
        known |= {name: _generate(name) for name in missing}
        write_private(stack.secrets_file, json.dumps(known, indent=2) + "\n")
    return Secrets(**known)


def load_secrets(stack: Stack) -> Secrets:
    """The secrets of a stack that was set up.

    Raises:
        StackError: there is no such stack yet.
    """
    if not stack.secrets_file.exists():
        raise StackError(f"There is no stack in {stack.home} yet; start one with ./paylake up.")
    return ensure_secrets(stack)


def _read(stack: Stack) -> dict[str, str]:
    try:
        content = json.loads(stack.secrets_file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StackError(
            f"{stack.secrets_file} is damaged ({error}); restore it, or remove this stack with ./paylake reset."
        ) from error
    if not isinstance(content, dict):
        raise StackError(
            f"{stack.secrets_file} is damaged (no JSON object); restore it, or remove this stack with ./paylake reset."
        )
    names = {field.name for field in fields(Secrets)}
    return {name: value for name, value in content.items() if name in names}


def _generate(name: str) -> str:
    if name == "airflow_fernet_key":
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(32 if name.startswith("airflow_jwt") else 16)
