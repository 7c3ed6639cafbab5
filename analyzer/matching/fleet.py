"""The servers that a platform may start: a list of types, or Karpenter's NodePools.

What comes in: the text of a file, and the catalogue's servers. What goes out: which of them are allowed, where and at
which terms. Pure. A requirement that the catalogue knows nothing about allows everything and is named in
:attr:`Fleet.not_considered`; limits, weights and taints of a NodePool restrict no type and are not read.

Sources: karpenter.sh, "NodePools" and "Scheduling" (well-known labels); the CRD ``karpenter.sh_nodepools.yaml``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Server = dict[str, Any]
"""A row of ``servers.parquet``."""
_CAPACITY = {"on-demand": "ondemand", "spot": "spot"}
_VENDORS = {
    "karpenter.k8s.aws": "aws",
    "eks.amazonaws.com": "aws",
    "karpenter.azure.com": "azure",
    "karpenter.k8s.gcp": "gcp",
}
_REGION_KEYS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_EC2_NAME = re.compile(r"([a-z]+)(?:-\d+tb)?(\d+)[^.]*\.")


@dataclass(frozen=True, slots=True)
class Place:
    """One server that is allowed, in these regions but ``outside``, and allocations; None allows all."""

    vendor_id: str
    server_id: str
    regions: list[str] | None
    allocations: list[str] | None
    outside: list[str]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of a NodePool: a label, an operator and its values."""

    key: str
    operator: str
    values: tuple[str, ...]

    def allows(self, value: str | float | None) -> bool:
        """Whether a node whose label has this value (None: no such label) may be started."""
        if self.operator in ("In", "NotIn"):
            return (value is not None and _text(value) in self.values) == (self.operator == "In")
        if self.operator in ("Exists", "DoesNotExist"):
            return (value is not None) == (self.operator == "Exists")
        bound = float(self.values[0])
        over, under = self.operator.startswith("Gt"), self.operator.startswith("Lt")
        if not isinstance(value, (int, float)):
            return False
        same = self.operator.endswith("e") and value == bound
        return same or (over and value > bound) or (under and value < bound)


@dataclass(frozen=True, slots=True)
class Pool:
    """One NodePool: all of its requirements hold at once. ``vendor`` is None where nothing says whose it is."""

    vendor: str | None
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a file allows: types by name, or pools, of which any is enough.

    Attributes:
        name: the file, for messages.
        types: names or globs of types, each with its vendor where one was given (``aws/m5.*``).
        pools: NodePools.
    """

    name: str
    types: tuple[tuple[str | None, str], ...] = ()
    pools: tuple[Pool, ...] = ()

    @property
    def not_considered(self) -> tuple[str, ...]:
        """Labels that NodePools require and that the catalogue cannot judge."""
        keys = {requirement.key for pool in self.pools for requirement in pool.requirements}
        return tuple(sorted(keys - _LABELS.keys() - {"karpenter.sh/capacity-type", *_REGION_KEYS}))

    def allowed(self, servers: Sequence[Server]) -> list[Place]:
        """Every place that the fleet may use, of ``servers``.

        Raises:
            UsageError: the list names a type that no server has.
        """
        places = [place for pool in self.pools for place in _of_pool(pool, servers)]
        for vendor, pattern in self.types:
            found = [server for server in servers if _named(server, vendor, pattern)]
            if not found:
                raise UsageError(f"{self.name}: no server of the catalogue is named {pattern!r}")
            places += [Place(server["vendor_id"], server["server_id"], None, None, []) for server in found]
        return places


def parse(text: str, name: str) -> Fleet:
    """The fleet that ``text`` says; ``name`` is the file's, for messages.

    Raises:
        UsageError: it is neither a list of types nor NodePools.
    """
    import yaml  # noqa: PLC0415 - 20 ms that matching without a fleet need not pay

    try:
        # text alone: nothing to build that could fail, and a type that looks like a number stays as it is written
        documents = [document for document in yaml.load_all(text, yaml.BaseLoader) if document]
    except RecursionError:
        raise UsageError(f"{name} nests too deep to be read") from None
    except yaml.YAMLError as error:
        if "kind:" in text:
            raise UsageError(f"{name} is no YAML: {' '.join(str(error).split())}") from None
        documents = [re.sub(r"#.*", "", text)]  # a list whose globs YAML takes for something else
    manifests, names = _sorted_out(documents, name)
    pools = tuple(_pool(manifest, name) for manifest in manifests if manifest.get("kind") == "NodePool")
    if not pools and not names:
        raise UsageError(f"{name} holds neither names of server types nor a NodePool")
    return Fleet(name, tuple(map(_type_name, names)), pools)


def _sorted_out(documents: Iterable[Any], name: str) -> tuple[list[dict[str, Any]], list[str]]:
    manifests: list[dict[str, Any]] = []
    names: list[str] = []
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            manifests += [item for item in items if isinstance(item, dict)] if isinstance(items, list) else [document]
        elif isinstance(document, list) and all(isinstance(item, str) for item in document):
            names += document
        elif isinstance(document, str):
            names += re.split(r"[\s,]+", document.strip())
        else:
            raise UsageError(f"{name} holds neither names of server types nor a NodePool")
    return manifests, [word for word in names if word]


def _type_name(word: str) -> tuple[str | None, str]:
    vendor, slash, name = word.partition("/")
    return (vendor.lower(), name) if slash else (None, word)


def _named(server: Server, vendor: str | None, pattern: str) -> bool:
    return vendor in (None, server["vendor_id"]) and fnmatchcase(server["api_reference"].lower(), pattern.lower())


def _pool(manifest: Mapping[str, Any], name: str) -> Pool:
    """A NodePool of ``karpenter.sh/v1`` or ``v1beta1``; labels of its template are requirements too."""
    try:
        template = manifest["spec"]["template"]
        spec = template.get("spec") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        lines = spec.get("requirements") or []
        requirements = [
            Requirement(_key(_word(line["key"])), _word(line["operator"]), tuple(map(_word, line.get("values") or ())))
            for line in lines
        ]
        known = [Requirement(key, "In", (_word(value),)) for key, value in labels.items() if key in _LABELS]
        node_class = spec.get("nodeClassRef") or {}
        group = _word(node_class.get("group") or node_class.get("apiVersion") or "").partition("/")[0]
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{name}: a NodePool has no spec.template.spec.requirements of key and operator") from None
    for requirement in requirements:
        _check(requirement, name)
    groups = [group, *(requirement.key.partition("/")[0] for requirement in requirements)]
    return Pool(next((_VENDORS[g] for g in groups if g in _VENDORS), None), (*requirements, *known))


def _word(value: object) -> str:
    """A plain value: what aliases make of a list grows without end once it is written out."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _key(key: str) -> str:
    """The label under Karpenter's own name: EKS Auto Mode has one of its own for each."""
    return key.replace("eks.amazonaws.com/", "karpenter.k8s.aws/")


def _check(requirement: Requirement, name: str) -> None:
    operator, values = requirement.operator, requirement.values
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"):
        raise UsageError(f"{name}: {requirement.key} has the operator {operator!r}, which Karpenter does not know")
    bound = operator in ("Gt", "Lt", "Gte", "Lte")
    if bound and not (len(values) == 1 and re.fullmatch(r"\d+", values[0])):
        raise UsageError(f"{name}: {requirement.key} {operator} needs one whole number")


def _of_pool(pool: Pool, servers: Sequence[Server]) -> Iterable[Place]:
    about_servers = [line for line in pool.requirements if line.key in _LABELS]
    about_capacity = [line for line in pool.requirements if line.key == "karpenter.sh/capacity-type"]
    about_regions = [line for line in pool.requirements if line.key in _REGION_KEYS and line.operator == "In"]
    allocations = [a for word, a in _CAPACITY.items() if all(line.allows(word) for line in about_capacity)]
    regions: list[str] | None = None
    for line in about_regions:
        here = {_region(value) if line.key.endswith("/zone") else value for value in line.values}
        regions = sorted(here if regions is None else here & set(regions))
    outside = [
        region
        for line in pool.requirements
        if (line.key, line.operator)
        == (_REGION_KEYS[0], "NotIn")  # a zone that is left out leaves others of its region
        for region in line.values
    ]
    for server in servers:
        if pool.vendor in (None, server["vendor_id"]) and all(
            line.allows(_LABELS[line.key](server)) for line in about_servers
        ):
            yield Place(server["vendor_id"], server["server_id"], regions, allocations, outside)


def _region(zone: str) -> str:
    """The region of a zone: ``us-east-1a``, ``us-central1-a``, ``eastus-1``."""
    return re.sub(r"(?<=\d)[a-z]$|-[a-z0-9]$", "", zone)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _ec2(part: Callable[[re.Match[str]], str | int]) -> Callable[[Server], str | float | None]:
    def label(server: Server) -> str | float | None:
        name = _EC2_NAME.match(server["api_reference"]) if server["vendor_id"] == "aws" else None
        return part(name) if name else None

    return label


def _half(index: int) -> Callable[[Server], str | None]:
    return lambda server: server["api_reference"].partition(".")[index] or None


def _gpu(column: str) -> Callable[[Server], Any]:
    return lambda server: server[column] if server["gpu_count"] else None


def _lower(column: str) -> Callable[[Server], str | None]:
    return lambda server: server[column].lower().replace(" ", "-") if server[column] else None


_LABELS: Mapping[str, Callable[[Server], str | float | None]] = {
    "node.kubernetes.io/instance-type": lambda server: str(server["api_reference"]),
    "kubernetes.io/arch": lambda server: {"x86_64": "amd64"}.get(
        server["cpu_architecture"], server["cpu_architecture"]
    ),
    "kubernetes.io/os": lambda _server: "linux",
    "karpenter.k8s.aws/instance-category": _ec2(lambda name: name[1]),
    "karpenter.k8s.aws/instance-generation": _ec2(lambda name: int(name[2])),
    "karpenter.k8s.aws/instance-family": _half(0),
    "karpenter.k8s.aws/instance-size": _half(2),
    "karpenter.k8s.aws/instance-cpu": lambda server: int(server["vcpus"]),
    "karpenter.k8s.aws/instance-cpu-manufacturer": _lower("cpu_manufacturer"),
    "karpenter.k8s.aws/instance-memory": lambda server: int(server["memory_amount"]),
    "karpenter.k8s.aws/instance-gpu-count": _gpu("gpu_count"),
    "karpenter.k8s.aws/instance-gpu-memory": _gpu("gpu_memory_min"),
    "karpenter.k8s.aws/instance-gpu-name": lambda server: _lower("gpu_model")(server) if server["gpu_count"] else None,
    "karpenter.k8s.aws/instance-gpu-manufacturer": lambda server: (
        _lower("gpu_manufacturer")(server) if server["gpu_count"] else None
    ),
    "karpenter.k8s.aws/instance-local-nvme": lambda server: (
        (server["storage_size"] or None) if server["storage_type"] != "ssd" else None
    ),
}
"""Labels of a node that the catalogue can tell, by their keys."""
