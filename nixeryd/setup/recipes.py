"""One recipe per engine: which files, changed how, and what to type afterwards.

Puts the pure plans and what `engines` sees together; writes nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nixeryd.setup import (
    buildkit as buildkit_toml,
    containerd as containerd_toml,
    docker as daemon_json,
    engines,
    files,
    lines,
    podman as registries_conf,
)
from nixeryd.setup.engines import Kind, Machine
from nixeryd.setup.errors import SetupError
from nixeryd.setup.files import Edit
from nixeryd.setup.targets import Targets

Change = Callable[[str | None], str]

# Anybody may own that name on Docker Hub.
_SHORT = "docker pull shell/python3    # the same while nixeryd runs, else Docker Hub's"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a set-up does; undo also looks at `more_files`."""

    steps: tuple[tuple[Path, Change], ...]
    warnings: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()  # to make the engine read its files again
    hints: tuple[str, ...] = ()
    more_files: tuple[Path, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """All files that undo may put back."""
        return list(
            dict.fromkeys([path for path, _ in self.steps] + [*self.more_files])
        )

    def edits(self) -> list[Edit]:
        """Read the files and say what changes; raises `SetupError`."""
        edits: list[Edit] = []
        for path, change in self.steps:
            before = files.read(path)
            try:
                text = None if before is None else lines.decode(before)
                after = change(text).encode()
            except SetupError as error:
                raise SetupError(f"{path}: {error}") from error
            if after != (before or b""):
                edits.append(Edit(path, before, after))
        return edits


def docker(
    machine: Machine,
    targets: Targets,
    *,
    rootless: bool | None = None,
    file: Path | None = None,
    all_registries: bool = False,
) -> Recipe:
    """Docker: the mirror in daemon.json, with hosts.toml for the other registries."""
    engine = engines.find_docker(machine, rootless=rootless)
    target = file or engine.daemon_json
    certs_d = target.parent / "certs.d"
    warnings: list[str] = []
    hints: list[str] = []
    if engine.vm_host and file is None:
        targets = targets.seen_from_vm(engine.vm_host)
        hints = [
            f"{engine.kind} runs in a virtual machine, where localhost is another one:",
            f'  set hosts = ["{engine.vm_host}"] in config.toml, restart nixeryd',
            f"  docker run -it {targets.registry}/shell/python3",
        ]
        if all_registries:
            raise SetupError(
                f"--all-registries is not possible: {engine.kind} keeps certs.d in its"
                " virtual machine; without the option Docker Hub is mirrored"
            )
    else:
        name = targets.registry.replace("127.0.0.1:", "localhost:")
        hints = [f"docker run -it {name}/shell/python3"]
    if engine.kind is Kind.ROOTLESS:
        warnings.append(
            "a rootless engine that RootlessKit runs without --detach-netns has a"
            " 127.0.0.1 of its own; if no pull gets here, start it with"
            " DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false and name the"
            " host's address there with --mirror-listen (10.0.2.2:5001 for slirp4netns)"
        )
    if engine.kind is Kind.ROOTFUL:
        warnings += [
            f"{place} gives dockerd --registry-mirror; take it out, dockerd does not"
            " start when daemon.json says it too"
            for place in engines.mirror_flags(machine)
        ]
    is_loopback = targets.registry.startswith(("127.", "localhost:"))
    insecure = None if is_loopback else targets.registry
    change = partial(daemon_json.plan, mirror=targets.mirror, insecure=insecure)
    steps: list[tuple[Path, Change]] = [(target, change)]
    if all_registries:
        steps += _hosts(certs_d, targets)
        hints.append("hosts.toml is read by the containerd image store (docker info)")
    reload = {
        Kind.ROOTFUL: "sudo systemctl reload docker    # containers keep running",
        Kind.ROOTLESS: "systemctl --user restart docker    # stops your containers",
        Kind.SNAP: "sudo snap restart docker    # stops containers",
        Kind.DESKTOP: "docker desktop restart    # or its menu: Restart",
        Kind.ORBSTACK: "orb restart docker",
    }[engine.kind]
    return Recipe(
        tuple(steps),
        tuple(warnings),
        (reload,),
        (*hints, _SHORT),
        tuple(files.recorded_below(certs_d)),
    )


def containerd(
    machine: Machine,
    targets: Targets,
    *,
    rootless: bool | None = None,
    file: Path | None = None,
) -> Recipe:
    """Set up containerd: a hosts.toml per registry, and config_path if CRI needs it."""
    directory = engines.engine_dir(machine, "containerd", rootless=rootless)
    config = file or directory / "config.toml"
    raw = files.read(config)
    try:
        found = containerd_toml.config_path_of(
            lines.decode(raw) if raw is not None else None
        )
    except SetupError as error:
        raise SetupError(f"{config}: {error}") from error
    certs_d = Path(found) if found else config.absolute().parent / "certs.d"
    change = partial(containerd_toml.plan_config, config_path=str(certs_d))
    is_user = directory.is_relative_to(machine.config)
    restart = "systemctl --user restart" if is_user else "sudo systemctl restart"
    return Recipe(
        ((config, change), *_hosts(certs_d, targets)),
        reload=(f"{restart} containerd    # only if config.toml changed",),
        hints=(
            f"ctr images pull --hosts-dir {certs_d} docker.io/shell/python3:latest",
            "nerdctl and crictl find that directory by themselves",
        ),
        more_files=tuple(files.recorded_below(certs_d)),
    )


def podman(machine: Machine, targets: Targets, *, file: Path | None = None) -> Recipe:
    """Podman, buildah and skopeo: a drop-in, which they read at every start."""
    if machine.is_mac and file is None:
        raise SetupError(
            "podman machine reads the files inside its virtual machine: run nixeryd"
            " setup podman with --file ./50-nixeryd.conf --listen"
            " host.containers.internal:5000, then `podman machine ssh 'sudo tee"
            " /etc/containers/registries.conf.d/50-nixeryd.conf' < 50-nixeryd.conf`"
        )
    target = file or engines.podman_drop_in(machine)
    name = registries_conf.own_names(targets.registry)[-1]
    change = partial(
        registries_conf.plan, address=targets.registry, registries=targets.upstreams
    )
    others = [one for one in engines.podman_files(machine) if one != target]
    warnings = [] if file else _shadows(target, others, targets)
    return Recipe(
        ((target, change),),
        tuple(warnings),
        hints=(
            f"podman run -it {name}/shell/python3",
            "podman pull docker.io/library/alpine    # through the mirror",
        ),
    )


def buildkit(
    machine: Machine,
    targets: Targets,
    *,
    rootless: bool | None = None,
    file: Path | None = None,
) -> Recipe:
    """BuildKit on its own or as a buildx builder in a container."""
    directory = engines.engine_dir(machine, "buildkit", rootless=rootless)
    target = file or directory / "buildkitd.toml"
    change = partial(
        buildkit_toml.plan, mirror=targets.mirror, registries=targets.upstreams
    )
    warnings: list[str] = []
    default = engines.buildx_default(machine)
    if default is not None and default != target:
        warnings.append(
            f"buildx gives new builders {default} and not this file; name this one with"
            f" --buildkitd-config, or set that one up with --file {default} (remote"
            " builders get it too)"
        )
    is_user = directory.is_relative_to(machine.config)
    restart = "systemctl --user restart" if is_user else "sudo systemctl restart"
    flag = f"--buildkitd-config {target}"
    return Recipe(
        ((target, change),),
        tuple(warnings),
        (f"{restart} buildkit    # where buildkitd is a service",),
        (
            f"docker buildx create --use --driver-opt network=host {flag}",
            "network=host: a builder in a container has a 127.0.0.1 of its own",
        ),
    )


def _hosts(certs_d: Path, targets: Targets) -> list[tuple[Path, Change]]:
    return [
        (
            certs_d / name / "hosts.toml",
            partial(
                containerd_toml.plan_hosts, address=targets.registry, server=server
            ),
        )
        for name, server in targets.upstreams.items()
    ]


def _shadows(target: Path, others: Iterable[Path], targets: Targets) -> list[str]:
    """Name the files that define a prefix of ours; the last one by name wins."""
    ours = {*targets.upstreams, *registries_conf.own_names(targets.registry)}
    warnings: list[str] = []
    for other in others:
        try:
            raw = files.read(other)
            both = sorted(registries_conf.prefixes(lines.decode(raw or b"")) & ours)
        except SetupError as error:
            warnings.append(f"{other} cannot be read: {error}")
            continue
        if both:
            # Drop-ins of one directory go by name; all else comes before ours.
            wins = other.parent == target.parent and other.name > target.name
            which = f"{other} wins" if wins else f"{target.name} wins"
            warnings.append(f"{other} also defines {', '.join(both)}: {which}")
    return warnings
