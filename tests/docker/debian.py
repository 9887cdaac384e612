"""The stand-in for Debian's image, from which all other stand-ins are made: debootstrap, with this machine's mirror.

Builds in it reach the registries as this machine does, with its certificates and proxies. Those are known only here and
go into no file of the project.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.docker.commands import run

NAME = "debian:12.12-slim"
SUITE = "bookworm"
DEFAULT_SITES = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# What the programs used in builds call their file of certificates.
BUNDLE_VARIABLES = ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
# How this machine's apt reaches its mirror, and whether it trusts its own clock.
APT_OPTIONS = re.compile(r'^(Acquire::(?:https?::Proxy\S*|Check-Valid-Until|Check-Date)) "([^"]+)";$', re.MULTILINE)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# As in Debian's own slim images: no documentation, and nothing kept of what apt fetched.
DPKG_OPTIONS = "".join(
    f"path-{rule}\n"
    for rule in (
        "exclude=/usr/share/doc/*",
        "include=/usr/share/doc/*/copyright",
        "exclude=/usr/share/info/*",
        "exclude=/usr/share/locale/*",
        "exclude=/usr/share/man/*",
    )
)
APT_CLEAN = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
"""
NO_SERVICES = "#!/bin/sh\nexit 101\n"
# To be raised with every change of how the image is made.
REVISION = 2
WHAT = f"making the stand-in {NAME}"


def digest() -> str:
    """Names all that goes into the image, but for the packages the mirror has today."""
    inputs = [REVISION, SUITE, _sites(), _certificates(), _apt_options(), DPKG_OPTIONS, APT_CLEAN]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def proxies() -> dict[str, str]:
    """The proxies of this machine, as arguments of a build."""
    return {name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)}


def make(label: str, cache: Path, environment: Mapping[str, str]) -> None:
    """Make the image in the engine that the environment names.

    Raises:
        StackError: a step failed; its last lines are in the message.
    """
    if not shutil.which("debootstrap"):
        run(["apt-get", "update"], WHAT)
        run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap", "debian-archive-keyring"], WHAT)
    with tempfile.TemporaryDirectory(dir=cache, prefix="debian-") as folder:
        root = Path(folder) / "root"
        try:
            run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, root, _sites()[0]], WHAT)
            _configure(root)
            archive = Path(folder) / "root.tar"
            run(["tar", "--create", "--numeric-owner", "--file", archive, "--directory", root, "."], WHAT)
            changes = [f"ENV {name}={BUNDLE}" for name in BUNDLE_VARIABLES]
            changes += ['CMD ["bash"]', f"LABEL {label}"]
            options = [word for change in changes for word in ("--change", change)]
            run(["docker", "import", *options, archive, NAME], WHAT, environment=environment)
        finally:
            # A debootstrap that was cut short leaves these mounted.
            for mounted in ("proc", "sys"):
                subprocess.run(["umount", "--lazy", str(root / mounted)], stderr=subprocess.DEVNULL, check=False)


def _configure(root: Path) -> None:
    main, security = _sites()
    sources = [f"deb {main} {SUITE} main", f"deb {main} {SUITE}-updates main", f"deb {security} {SUITE}-security main"]
    options = "".join(f'{name} "{value}";\n' for name, value in _apt_options())
    files = {
        "etc/apt/sources.list": "".join(f"{line}\n" for line in sources),
        "etc/apt/apt.conf.d/90machine": options,
        "etc/apt/apt.conf.d/docker-clean": APT_CLEAN,
        "etc/dpkg/dpkg.cfg.d/docker": DPKG_OPTIONS,
        "usr/sbin/policy-rc.d": NO_SERVICES,
    }
    for name, text in files.items():
        (root / name).write_text(text)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    known = {"".join(path.read_text().split()) for path in (root / "usr/share/ca-certificates").rglob("*.crt")}
    own = root / "usr/local/share/ca-certificates"
    own.mkdir(parents=True, exist_ok=True)
    for number, certificate in enumerate(_certificates()):
        if "".join(certificate.split()) not in known:
            (own / f"machine-{number:03}.crt").write_text(certificate + "\n")
    run(["chroot", root, "update-ca-certificates"], WHAT)
    for pattern in ("usr/share/doc/*/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*"):
        for path in root.glob(pattern):
            if path.name != "copyright":
                _remove(path)
    # As in the real images: Debian's Java can not be installed without these folders.
    for section in range(1, 9):
        (root / f"usr/share/man/man{section}").mkdir()
    for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "var/log/*.log"):
        for path in root.glob(pattern):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sites() -> tuple[str, str]:
    """The mirrors of Debian and of its security updates that this machine's apt uses, else Debian's own."""
    main, security = DEFAULT_SITES
    command = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages", "Origin: Debian"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    for site, release in (line.split() for line in answer.stdout.splitlines()):
        if release.endswith("-security"):
            security = site
        elif not release.endswith(("-updates", "-backports")):
            main = site
    return main, security


def _apt_options() -> list[tuple[str, str]]:
    return APT_OPTIONS.findall(run(["apt-config", "dump", "Acquire"], WHAT))


def _certificates() -> list[str]:
    return CERTIFICATE.findall(Path(os.environ.get("SSL_CERT_FILE", BUNDLE)).read_text())
