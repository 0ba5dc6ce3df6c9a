"""Whose advisories are about a package: OSV's ecosystems, their releases and names.

Ecosystems, and what a name is in each: "Defined ecosystems" of OSV's schema, 1.7.4.
"""

from __future__ import annotations

from packaging.utils import canonicalize_name

from agent.protocol.packages import Package, PackageList

# By os-release's ID. Those of SUSE are not here: rpm's database is in a format there that is not
# read.
DISTRIBUTIONS = {
    "debian": "Debian",
    "ubuntu": "Ubuntu",
    "alpine": "Alpine",
    "wolfi": "Wolfi",
    "chainguard": "Chainguard",
    "rhel": "Red Hat",
    "almalinux": "AlmaLinux",
    "rocky": "Rocky Linux",
}
INDEXES = {"pypi": "PyPI", "npm": "npm"}
ROLLING = ("Wolfi", "Chainguard")  # they have no releases
_RHEL = "enterprise_linux"  # of Red Hat's CPEs, the one of what every RHEL has


def ecosystem_of(package: Package, found: PackageList) -> str | None:
    """What OSV calls where it is from, without a release; None: it does not know that."""
    if package.kind == "generic":
        return None
    return INDEXES.get(package.kind) or DISTRIBUTIONS.get(found.os_id)


def names_of(package: Package) -> list[tuple[str, str]]:
    """The names and versions that its advisories speak of.

    Those of Red Hat and AlmaLinux are about packages as installed, or about what they were built
    from: rpm's are looked for by both.
    """
    if package.kind == "pypi":
        return [(canonicalize_name(package.name), package.version)]
    own = (package.name, package.version)
    source = (package.source or package.name, package.source_version or package.version)
    if package.kind == "rpm":
        return [own] if own == source else [own, source]
    return [source]


def normal_name(ecosystem: str, name: str) -> str:
    """As `names_of` has it."""
    return canonicalize_name(name) if ecosystem == "PyPI" else name


def has_releases(ecosystem: str) -> bool:
    """Whether its advisories are about one release each."""
    return ecosystem not in INDEXES.values() and ecosystem not in ROLLING


def is_release(ecosystem: str, release: str, version: str) -> bool:
    """Whether `Debian:12`, `Ubuntu:22.04:LTS`, `Alpine:v3.18` is the image's own."""
    if not release:
        return True
    words = release.split(":")
    if ecosystem == "Alpine":
        return words[0] == "v" + ".".join(version.split(".")[:2])
    if ecosystem == "Debian":  # some tools write 12.5 into an SBOM
        return words[0] == version.split(".", maxsplit=1)[0]
    if ecosystem == "Red Hat":  # enterprise_linux:9::baseos
        return words[0] == _RHEL and words[1:2] == [version.split(".", maxsplit=1)[0]]
    if ecosystem in ("AlmaLinux", "Rocky Linux"):
        return words[0] in (version, version.split(".", maxsplit=1)[0])
    # Ubuntu's "Pro" has packages of its own.
    return version in words and "Pro" not in words
