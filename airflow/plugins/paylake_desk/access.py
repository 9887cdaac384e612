"""Who may look, and who may change something: whoever Airflow lets see, or start, runs of the fraud stream.

Plugins' applications are open to everybody, so each route of the page depends on one of these.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, Header, HTTPException, status
from fastapi.params import Depends as DependsOn

DAG_ID = "fraud_stream"
"""Rights are asked for by the DAG whose work the page shows, so that every auth manager knows them."""
FROM_THE_PAGE = "paylake"

may_read = Depends(requires_access_dag("GET", DagAccessEntity.RUN, DAG_ID))
_may_write = Depends(requires_access_dag("POST", DagAccessEntity.RUN, DAG_ID))


def _from_the_page(
    x_requested_with: Annotated[str | None, Header(description=f"{FROM_THE_PAGE}: no other site can send it.")] = None,
) -> None:
    # The login is a cookie, which browsers send with what other sites ask, too; but these cannot set a header.
    if x_requested_with != FROM_THE_PAGE:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"The header X-Requested-With must be {FROM_THE_PAGE}.")


may_write = [_may_write, Depends(_from_the_page)]


def may_start(dag_id: str) -> list[DependsOn]:
    """The same for whoever starts runs of another DAG."""
    return [Depends(requires_access_dag("POST", DagAccessEntity.RUN, dag_id)), Depends(_from_the_page)]


def _name(user: GetUserDep) -> str:
    return actor(user)


def actor(user: BaseUser) -> str:
    """What the audit trail calls a user."""
    return user.get_name()


Who = Annotated[str, Depends(_name)]
"""The logged-in user, by the name that the audit trail has."""
