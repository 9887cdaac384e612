"""``./paylake --docker``: Paylake's commands for the stack that Docker Compose runs. Standard library only.

What speaks to the stores runs in a container of the stack (``python -m paylake_airflow``), so this machine needs
nothing but Docker and Python.
"""

from __future__ import annotations

import argparse
import getpass
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from include.docker import compose, env_file
from include.stack.commands import COMMANDS, Command

INTERRUPTED = 130

OWN = {
    "init": Command("Write .env, or add what a newer version needs."),
    "reset": Command("Stop the stack and remove its containers, and the volumes with all data."),
    "compose": Command("Run docker compose itself, with the files of this clone."),
}
"""What other kinds of stack do not have, or do otherwise."""
PASS_THROUGH = (
    "verify",
    "quarantine",
    "checks",
    "cases",
    "lists",
    "rules",
    "evaluate",
    "backtest",
    "materialize",
    "backfill",
    "generate",
    "airflow",
    "psql",
    "compose",
)


def init(_arguments: argparse.Namespace) -> int:
    """Write ``.env``, or what it lacks."""
    added = env_file.ensure(compose.ENV_FILE)
    print(f"{compose.ENV_FILE}: {'wrote ' + ', '.join(added) if added else 'complete, nothing was changed'}.")
    return 0


def up(arguments: argparse.Namespace) -> int:
    """Build, start, and follow the first data into all five tables."""
    env_file.ensure(compose.ENV_FILE)
    # The containers' own words are in `logs`; here is what Compose does.
    if status := compose.call("up", "--detach", "--build"):
        return status
    if arguments.follow and (status := compose.in_container("first-data")):
        return status
    known = compose.known_variables()
    mail, access_key = known["PGADMIN_DEFAULT_EMAIL"], known["MINIO_ROOT_USER"]
    console = compose.address(known, "MINIO_CONSOLE", 9001)
    warehouse = f"{compose.address(known, 'POSTGRES', 5432)}, database warehouse"
    print(f"Airflow        {compose.airflow_url(known)}  (admin, AIRFLOW_ADMIN_PASSWORD)")
    print(f"pgAdmin        http://{compose.address(known, 'PGADMIN', 5050)}  ({mail}, PGADMIN_DEFAULT_PASSWORD)")
    if compose.ours(known, "minio"):
        print(f"MinIO console  http://{console}  ({access_key}, MINIO_ROOT_PASSWORD)")
    if compose.ours(known, "postgres"):
        print(f"PostgreSQL     {warehouse}  (paylake, WAREHOUSE_PASSWORD)")
    if compose.ours(known, "kafka"):
        print(f"Kafka          {compose.address(known, 'KAFKA', 9092)}")
    print(f"The passwords are in {compose.ENV_FILE}.")
    print("The stack keeps running: ./paylake --docker status, logs fraud -f, down.")
    return 0


def down(_arguments: argparse.Namespace) -> int:
    """Stop and remove the containers; the data stay in their volumes."""
    return compose.call("down")


def reset(arguments: argparse.Namespace) -> int:
    """Remove the containers and the volumes with all data."""
    if not arguments.yes:
        try:
            answer = input("Remove the containers and the volumes with all data of this stack? [y/N] ")
        except EOFError as error:
            raise compose.DockerError("There is nobody to ask; say --yes.") from error
        if answer.strip().lower() not in ("y", "yes"):
            return 1
    return compose.call("down", "--volumes", "--remove-orphans")


def status(arguments: argparse.Namespace) -> int:
    """Show each service, each layer, and what is wrong."""
    services = [_service(raw) for raw in compose.containers()]
    ill = [
        {"check": "process", "subject": service["name"], "message": service["state"]}
        for service in services
        if not service["well"]
    ]
    if arguments.json:
        found = _flow() if services else {"problems": [_unasked("no container runs")]}
        problems = [*ill, *found["problems"]]
        print(json.dumps({"well": not problems, "services": services, **found, "problems": problems}, indent=2))
        return 1 if problems else 0
    if not services:
        raise compose.DockerError("The stack does not run; ./paylake --docker up starts it.")
    width = max(len(service["name"]) for service in services)
    for service in services:
        print(
            f"{'✓' if service['well'] else '✗'} {service['name']:{width}}  {service['state']:40} {service['address']}"
        )
    print(flush=True)
    flows = compose.in_container("status") == 0
    return 0 if flows and not ill else 1


def logs(arguments: argparse.Namespace) -> int:
    """Show a service's log, or one that a container shows; without a name, list the names."""
    services = [raw["Service"] for raw in compose.containers()]
    if not arguments.name:
        print("\n".join(services), flush=True)
        return compose.in_container("logs")
    options = [*(["--follow"] if arguments.follow else []), "--lines", str(arguments.lines)]
    if arguments.name not in services:
        return compose.in_container("logs", arguments.name, *options)
    follow = ["--follow"] if arguments.follow else []
    return compose.call("logs", "--no-log-prefix", *follow, "--tail", str(arguments.lines), arguments.name)


def env(_arguments: argparse.Namespace) -> int:
    """Print shell exports for clients on this machine; of a managed service one knows the address oneself."""
    known = compose.known_variables()
    exports = {
        "AIRFLOW_URL": compose.airflow_url(known),
        "AIRFLOW_USERNAME": "admin",
        "AIRFLOW_PASSWORD": known["AIRFLOW_ADMIN_PASSWORD"],
    }
    if compose.ours(known, "kafka"):
        exports["KAFKA_BOOTSTRAP_SERVERS"] = compose.address(known, "KAFKA", 9092)
    if compose.ours(known, "minio"):
        exports |= {
            "S3_ENDPOINT_URL": f"http://{compose.address(known, 'MINIO', 9000)}",
            "AWS_ACCESS_KEY_ID": known["MINIO_ROOT_USER"],
            "AWS_SECRET_ACCESS_KEY": known["MINIO_ROOT_PASSWORD"],
            # The shell's own would be taken for one of these keys.
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": "us-east-1",
        }
    if compose.ours(known, "postgres"):
        login = f"paylake:{known['WAREHOUSE_PASSWORD']}"
        exports["WAREHOUSE_DSN"] = f"postgresql://{login}@{compose.address(known, 'POSTGRES', 5432)}/warehouse"
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items()))
    return 0


def pass_through(command: str, arguments: Sequence[str]) -> int:
    """Run another program's command line in the stack."""
    if command == "compose":
        return compose.call(*arguments)
    if command == "airflow":
        return compose.run_container("--entrypoint", "airflow", "paylake", *arguments)
    if command == "psql":
        # By its socket: inside its container the server trusts who runs it.
        return compose.call(
            "exec", *compose.terminal(), "postgres", "psql", "-U", "postgres", "-d", "warehouse", *arguments
        )
    # Help needs no server.
    if "--help" not in arguments and not any(raw["State"] == "running" for raw in compose.containers()):
        raise compose.DockerError("The stack does not run; ./paylake --docker up starts it.")
    if command in ("cases", "lists"):
        # Who does it is the caller, not the container's user.
        return compose.run_container("--env", f"LOGNAME={_login()}", "paylake", command, *arguments)
    return compose.in_container(command, *arguments)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # the first before Python 3.13
        raise compose.DockerError("The system does not know who you are: set LOGNAME.") from error


def _flow() -> dict[str, Any]:
    """What the stores and Airflow say of themselves, asked in a container."""
    answer = compose.ask("run", "--rm", "--no-deps", "--no-TTY", "paylake", "status", "--json")
    try:
        found = json.loads(answer.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "problems" not in found:
        return {"problems": [_unasked("no container could be run to ask them; its words are above")]}
    return found


def _unasked(reason: str) -> dict[str, str]:
    return {"check": "no_answer", "subject": "all layers", "message": reason}


def _service(raw: dict[str, Any]) -> dict[str, Any]:
    """A container as ``status`` shows it: what is checked has to be healthy, what ended has to have succeeded."""
    running, health = raw["State"] == "running", raw["Health"]
    published = {f"127.0.0.1:{port['PublishedPort']}" for port in raw["Publishers"] or () if port["PublishedPort"]}
    return {
        "name": raw["Service"],
        "state": raw["Status"],
        "well": health in ("healthy", "") if running else raw["State"] == "exited" and raw["ExitCode"] == 0,
        "address": ", ".join(sorted(published)),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./paylake --docker", description="Paylake in Docker: docker compose, and the commands of ./paylake."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = _help(name)
        command = commands.add_parser(name, help=text.partition("\n\n")[0], description=text)
        command.set_defaults(run=run)
        return command

    add("init", init)
    add("up", up).add_argument(
        "--no-follow", dest="follow", action="store_false", help="Do not wait until all five tables have rows."
    )
    add("down", down)
    add("status", status).add_argument("--json", action="store_true", help=COMMANDS["status"].options["json"])
    show, means = add("logs", logs), COMMANDS["logs"].options
    show.add_argument("name", nargs="?", default="", help=means["name"])
    show.add_argument("-f", "--follow", action="store_true", help=means["follow"])
    show.add_argument("-n", "--lines", type=int, default=50, help=means["lines"])
    add("env", env)
    add("reset", reset).add_argument("--yes", action="store_true", help="Do not ask.")
    for name in PASS_THROUGH:
        commands.add_parser(name, help=_help(name), add_help=False)
    return parser


def _help(name: str) -> str:
    """What help says of a command; where it says how to call one, it has to be one of these."""
    return (COMMANDS | OWN)[name].help.replace("./paylake ", "./paylake --docker ")


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code."""
    if arguments and arguments[0] in PASS_THROUGH:
        return pass_through(arguments[0], arguments[1:])
    parsed = _parser().parse_args(arguments)
    return int(parsed.run(parsed))


def run() -> NoReturn:
    """Run the command line of this process; an error becomes one sentence and an exit code."""
    try:
        sys.exit(main(sys.argv[1:]))
    except (compose.DockerError, OSError, ValueError) as error:
        sys.exit(f"paylake: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    run()
