"""Notices reach a webhook and a mailbox by Airflow's connections, and a channel that is not there is no error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email import message_from_string
from typing import Any

import pytest

from include.alerts.notices import ChannelError, Notice
from paylake_airflow.channels import channels
from tests.support.people import mail_server, webhook
from tests.support.ports import free_port_base

NOTICE = Notice(1, datetime(2026, 3, 1, tzinfo=UTC), "gold/USERS is overdue", "newer data <b>wait</b> & wait")


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **connection: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


def test_where_there_is_no_connection_there_is_no_channel() -> None:
    assert channels() == []


def test_a_webhook_gets_what_slack_and_programs_want(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as (url, told):
        connect(monkeypatch, "alert_webhook", conn_type="http", host=url)
        (channel,) = channels()
        channel.send(NOTICE)
    assert told == [
        {
            "subject": NOTICE.subject,
            "message": NOTICE.message,
            "at": "2026-03-01T00:00:00+00:00",
            "text": f"{NOTICE.subject}: {NOTICE.message}",
        }
    ]


def test_a_mailbox_gets_it_as_text_whatever_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, messages):
        extra = {
            "to": "a@b.example,c@d.example",
            "from_email": "lake@b.example",
            "disable_ssl": True,
            "disable_tls": True,
        }
        connect(monkeypatch, "alert_email", conn_type="smtp", host="127.0.0.1", port=port, extra=extra)
        (channel,) = channels()
        channel.send(NOTICE)
    (mail,) = map(message_from_string, messages)
    assert mail["Subject"] == "Paylake: gold/USERS is overdue"
    assert "a@b.example" in mail["To"]
    assert "c@d.example" in mail["To"]
    (part,) = (part for part in mail.walk() if part.get_content_type() == "text/html")
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().strip() == "newer data &lt;b&gt;wait&lt;/b&gt; &amp; wait"


def test_a_channel_that_refuses_or_does_not_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = free_port_base()
    extra = {"to": "a@b.example", "from_email": "lake@b.example", "disable_ssl": True, "retry_limit": 0}
    connect(monkeypatch, "alert_email", conn_type="smtp", host="127.0.0.1", port=nobody, extra=extra)
    with webhook(status=500) as (url, told):
        connect(monkeypatch, "alert_webhook", conn_type="http", host=url)
        ways = channels()
        assert [channel.name for channel in ways] == ["webhook", "e-mail"]
        for channel in ways:
            with pytest.raises(ChannelError, match="takes no notice"):
                channel.send(NOTICE)
    assert len(told) == 1


def test_a_mailbox_of_nobody_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "alert_email", conn_type="smtp", host="127.0.0.1")
    (channel,) = channels()
    with pytest.raises(ChannelError, match="names nobody"):
        channel.send(NOTICE)
