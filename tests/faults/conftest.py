"""One set of servers for all of this folder, which its tests may break and leave whole again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.settings import Settings
from tests.support.servers import Servers, own_servers


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that only the tests of this folder use."""
    with own_servers(tmp_path_factory.mktemp("servers")) as servers, pytest.MonkeyPatch.context() as patch:
        # Spark's workers and the jobs that a test starts read the environment.
        for name, value in servers.environment.items():
            patch.setenv(name, value)
        yield servers


@pytest.fixture(scope="package")
def settings(servers: Servers) -> Settings:
    """Their addresses; here in place of the servers that all other tests share."""
    return servers.settings
