"""Kafka: one broker that is its own controller (KRaft), from the jars of Maven Central."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

from include.files import write_private
from include.local.layout import Stack
from include.local.ports import HOST
from include.local.servers.process import Process
from include.local.setup.jars import jar_folder
from include.local.setup.java import Java
from include.stack.steps import Task

LOGGING = Path(__file__).parent / "kafka-log4j2.xml"


def folder(stack: Stack) -> Path:
    """The broker's folder in the stack's home."""
    return stack.home / "kafka"


def bootstrap_servers(stack: Stack) -> str:
    """Where clients find the broker."""
    return f"{HOST}:{stack.ports.kafka}"


def prepare(stack: Stack, java: Java, task: Task) -> None:
    """Write the broker's configuration and format its storage once."""
    configuration = folder(stack) / "server.properties"
    write_private(configuration, _properties(stack))
    if (folder(stack) / "data" / "meta.properties").exists():
        return
    task.say("formatting the storage")
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # --ignore-formatted: a format that was cut short is done again. The id is part of its argument, because one id in
    # 64 begins with a hyphen and would by itself be taken for an option.
    tool = ["kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
    task.command([*_java_command(stack, java, "128m"), *tool, f"--cluster-id={cluster_id}", "-c", configuration])


def process(stack: Stack, java: Java) -> Process:
    """The broker under supervisor."""
    return Process(
        name="kafka",
        command=[*_java_command(stack, java, "512m"), "kafka.Kafka", str(folder(stack) / "server.properties")],
        address=bootstrap_servers(stack),
        cwd=str(folder(stack)),
    )


def _java_command(stack: Stack, java: Java, memory: str) -> list[str]:
    return [
        str(java.program),
        f"-Xmx{memory}",
        "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile=file:{LOGGING}",
        "-cp",
        f"{jar_folder(stack, 'kafka')}/*",
    ]


def _properties(stack: Stack) -> str:
    broker, controller = bootstrap_servers(stack), f"{HOST}:{stack.ports.kafka_controller}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": controller,
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder(stack) / "data"),
        # One broker: nothing can be replicated.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.num.partitions": "3",
        # Topics are made by us with the settings they need, never by a client's typing error.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
