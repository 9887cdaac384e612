"""The ways to people, each of which is there when Airflow knows its connection: a webhook, and e-mail."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from include.alerts.notices import ChannelError

if TYPE_CHECKING:
    from include.alerts.notices import Channel, Notice

WEBHOOK_CONN_ID = "alert_webhook"
EMAIL_CONN_ID = "alert_email"
SECONDS = 15
"""How long a webhook may take to answer, unless its connection says so."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs JSON with ``subject``, ``message``, ``at`` (ISO 8601) and ``text``, which Slack and its like show."""

    name: str = "webhook"

    def send(self, notice: Notice) -> None:
        """Send it.

        Raises:
            ChannelError: no answer, or a refusal.
        """
        from airflow.providers.http.hooks.http import HttpHook

        told = {
            "subject": notice.subject,
            "message": notice.message,
            "at": notice.at.isoformat(),
            "text": f"{notice.subject}: {notice.message}",
        }
        hook = HttpHook(method="POST", http_conn_id=WEBHOOK_CONN_ID)
        patience = {} if "timeout" in hook.get_connection(WEBHOOK_CONN_ID).extra_dejson else {"timeout": SECONDS}
        try:
            hook.run(data=json.dumps(told), headers={"Content-Type": "application/json"}, extra_options=patience)
        except (OSError, AirflowException) as error:
            raise ChannelError(f"the connection {WEBHOOK_CONN_ID} takes no notice: {error}") from error


@dataclass(frozen=True, slots=True)
class Email:
    """Sends a mail to whom ``to`` in the connection's extra names: an address, or several, separated by commas."""

    to: str
    name: str = "e-mail"

    def send(self, notice: Notice) -> None:
        """Send it.

        Raises:
            ChannelError: the server does not answer, or refuses; or the connection names nobody.
        """
        if not self.to:
            raise ChannelError(f'the extra of the connection {EMAIL_CONN_ID} names nobody: {{"to": "…"}}')
        from airflow.providers.smtp.hooks.smtp import SmtpHook

        try:
            with SmtpHook(EMAIL_CONN_ID) as server:
                server.send_email_smtp(
                    to=self.to, subject=f"Paylake: {notice.subject}", html_content=html.escape(notice.message)
                )
        except (OSError, AirflowException) as error:
            raise ChannelError(f"the connection {EMAIL_CONN_ID} takes no notice: {error}") from error


def channels() -> list[Channel]:
    """Those whose connections are there."""
    found: list[Channel] = []
    if _connection(WEBHOOK_CONN_ID):
        found.append(Webhook())
    if email := _connection(EMAIL_CONN_ID):
        found.append(Email(str(email.extra_dejson.get("to") or "")))
    return found


def _connection(conn_id: str) -> Connection | None:
    try:
        found: Connection = Connection.get(conn_id)
        return found
    except AirflowNotFoundException:
        return None
