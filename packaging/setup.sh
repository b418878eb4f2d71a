#!/usr/bin/env bash
# All set-up for `make run` and `make test`, on Debian, Ubuntu or anything with Nix.
#
#   packaging/setup.sh run     the daemon in .venv, Nix
#   packaging/setup.sh test    also the test tools, and the clients that tests drive
#   packaging/setup.sh programs    what only root can install of these, for another user
#
# What is there already is left alone: a second call does nothing and says nothing.
# Only git, make and python3 are assumed. Packages are installed as root only; for
# anybody else the last line names what to install.

set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:?usage: packaging/setup.sh run|test|programs}
venv=.venv

say() { printf 'set-up: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}
# Where dockerd is, and where Nix's own installer puts Nix, may not be on PATH.
elsewhere=/usr/sbin:/sbin:${HOME:-/root}/.nix-profile/bin:/nix/var/nix/profiles/default/bin
have() { PATH=$PATH:$elsewhere command -v "$1" >/dev/null; }
can_install() { [ "$(id -u)" = 0 ] && have apt-get; }

# Services of packages installed here must not start: docker-registry's would take
# port 5000, which is ours. policy-rc.d is Debian's interface for saying so.
policy=/usr/sbin/policy-rc.d
hold_services() {
    [ -e $policy ] && return
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
}

updated=
apt_install() {
    local log
    log=$(mktemp)
    say "installing $* (apt-get)"
    hold_services
    if [ -z "$updated" ]; then
        apt-get update >"$log" 2>&1 || cat "$log" >&2
        updated=yes
    fi
    if DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        "$@" >>"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
}

# ---- Python -----------------------------------------------------------------

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if is_recent "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

python=$(find_python) || {
    can_install && apt_install python3.11-venv && python=python3.11
} || die "Python 3.11 or later is needed: install it, or say where it is (PYTHON=/path/to/python3)"

install_venv_module() {
    local version
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        can_install || die "Python's venv module is incomplete: apt-get install $version-venv"
        apt_install "$version-venv" || apt_install python3-venv || exit 1
    fi
}

make_venv() {
    install_venv_module
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear $venv
}

# The stamp says what .venv was made from. It names the place too, since the
# scripts in .venv/bin hold absolute paths.
fingerprint() {
    { pwd && "$python" --version && cat pyproject.toml packaging/constraints.txt; } | cksum
}

pip_install() {
    $venv/bin/python -m pip --disable-pip-version-check install --quiet \
        --constraint packaging/constraints.txt "$@"
}

install_python_packages() {
    local stamp=$venv/set-up-for-$goal groups=()
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ] && return
    $venv/bin/python -c 'import pip' 2>/dev/null || make_venv
    say "installing the Python packages (pip)"
    # --group and --build-constraint are younger than the pip that Debian ships.
    pip_install --upgrade pip
    [ "$goal" = test ] && groups=(--group dev)
    pip_install --build-constraint packaging/constraints.txt \
        ${groups[@]+"${groups[@]}"} --editable .
    fingerprint | tee "$stamp" >$venv/set-up-for-run # test is run and more
}

# ---- Programs ---------------------------------------------------------------

# Prints the Debian packages whose program (or file) is missing.
missing() {
    local pair
    for pair in "$@"; do
        case $pair in
            /*) [ -e "${pair%%=*}" ] || printf '%s\n' "${pair#*=}" ;;
            *) have "${pair%%=*}" || printf '%s\n' "${pair#*=}" ;;
        esac
    done
}

install_nix() {
    local wanted
    mapfile -t wanted < <(missing nix-instantiate=nix-bin)
    if [ ${#wanted[@]} -gt 0 ]; then
        can_install ||
            die "Nix is needed: sudo apt-get install nix-setup-systemd, or see https://nixos.org/download"
        apt_install "${wanted[@]}" || die "Nix could not be installed; see https://nixos.org/download"
    fi
    # The embedded demo set is made of these; a real checkout does without.
    mapfile -t wanted < <(missing nano=nano sponge=moreutils \
        /etc/ssl/certs/ca-certificates.crt=ca-certificates)
    [ ${#wanted[@]} -eq 0 ] && return
    can_install && apt_install "${wanted[@]}" && return
    ! have apt-get || say "not installed: ${wanted[*]} (the demo package set is made of them)"
}

install_clients() {
    local wanted package failed=()
    mapfile -t wanted < <(missing skopeo=skopeo podman=podman runc=runc \
        dockerd=docker.io docker-registry=docker-registry \
        ip=iproute2 systemd-analyze=systemd mandoc=mandoc man=man-db \
        chromium=chromium fusermount3=fuse3 \
        "/usr/lib/$(uname -m)-linux-gnu/libatomic.so.1=libatomic1" \
        /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf=fonts-dejavu-core | sort -u)
    [ ${#wanted[@]} -eq 0 ] && return
    if can_install; then
        # One by one after a failure, so that one missing package costs only itself.
        apt_install "${wanted[@]}" || for package in "${wanted[@]}"; do
            apt_install "$package" || failed+=("$package")
        done
        # Held back now, it would still take our port at the next boot.
        case " ${wanted[*]} " in
            *" docker-registry "*) systemctl disable docker-registry >/dev/null 2>&1 || true ;;
        esac
    else
        failed=("${wanted[@]}")
    fi
    [ ${#failed[@]} -eq 0 ] ||
        say "not installed, so tests that need them are skipped: ${failed[*]}"
}

# Since Debian 13 docker.io has no command line; before, nothing else has one.
install_docker_cli() {
    if have dockerd && ! have docker && can_install; then
        apt_install docker-cli || say "not installed, so tests that need it are skipped: docker-cli"
    fi
}

case $goal in
    run)
        install_nix
        install_python_packages
        ;;
    test)
        install_nix
        install_clients
        install_docker_cli
        install_python_packages
        ;;
    programs)
        install_nix
        install_clients
        install_docker_cli
        install_venv_module
        ;;
    *) die "usage: packaging/setup.sh run|test|programs" ;;
esac
