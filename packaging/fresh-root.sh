# shellcheck shell=bash
# A minimal Debian in a directory, for try-fresh and try-deb, which source this in the
# repository's top directory.
#
# The package mirror is the one this machine uses. What runs inside does so in mount and
# process namespaces of its own, so that what was mounted and started is gone after it.

say() { printf '=== %s\n' "$*"; }

# ---- outside: make the root ---------------------------------------------------

# make_root ROOT [PACKAGES]: what is essential in a Debian, and PACKAGES (a,b,c).
# $suite names another release than this machine's; its mirrors are asked for that one.
make_root() {
    local root=$1 include=${2:+--include=$2} own uri codename component origin mirror=
    # shellcheck disable=SC2016  # apt's variables, not the shell's
    local columns='$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)'
    # shellcheck source=/dev/null
    own=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:?not a Debian}")
    local suite=${suite:-$own}
    while read -r uri codename component origin; do
        case $codename/$origin in
            "$own"*/Debian | "$own"*/Ubuntu) ;;
            *) continue ;;
        esac
        [ "$codename" != "$own" ] || mirror=$uri
        # bookworm-security becomes trixie-security; sid is never updated beside itself.
        [ "$suite" != sid ] || [ "$codename" = "$own" ] || continue
        printf 'deb %s %s %s\n' "$uri" "$suite${codename#"$own"}" "$component"
    done < <(apt-get indextargets --format "$columns" 'Created-By: Packages' | sort -u) \
        >"$root.sources"
    say "debootstrap $suite"
    # shellcheck disable=SC2086  # one word or none
    debootstrap --variant=minbase $include "$suite" "$root" "${mirror:?}" \
        >"$root.log" || { tail "$root.log" && return 1; }
    mv "$root.sources" "$root/etc/apt/sources.list"
    # Proxies and the like. Only the network settings: hooks name programs of this machine.
    apt-config dump Acquire | grep -v IndexTargets >"$root/etc/apt/apt.conf.d/90host"
    local file
    for file in /etc/pip.conf /etc/xdg/pip ~/.config/pip; do
        [ ! -e "$file" ] || cp -rL --parents "$file" "$root"
    done
    # The machine's certificates under another name, so that the root's own are missing.
    [ -z "${PIP_CERT:-}" ] || install -m 644 "$PIP_CERT" "$root/host-ca.crt"
}

# ---- inside: the namespaces' first process --------------------------------------

# Makes ROOT the root of everything here. chroot would not do: the kernel then allows
# no user namespaces, which Nix builds in, and engines want / to be a mount point.
enter() {
    local root=$1
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    # What an installer would have written.
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    mkdir -p "$root/old"
    cd "$root" || return
    pivot_root . old
    umount --lazy /old
    cd /root || return
}

# The environment of a fresh machine, with what pip and apt need to reach the network.
fresh_environment() {
    local name
    fresh=(env -i HOME=/root LANG=C.UTF-8 ${CI:+CI=$CI}
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    for name in $(compgen -e | grep -E '^PIP_|_proxy$|_PROXY$' || true); do
        fresh+=("$name=${!name}")
    done
    [ ! -e /host-ca.crt ] || fresh+=(PIP_CERT=/host-ca.crt)
}

# Makes a user called dev, and a nix-daemon of root's that builds for it, as an ordinary
# multi-user installation has. From then on "${fresh[@]}" is that user.
become_user() {
    local number
    groupadd --system nixbld
    for number in 1 2 3 4; do
        useradd --system --gid nixbld --groups nixbld --no-create-home \
            --home-dir /var/empty --shell /usr/sbin/nologin "nixbld$number"
    done
    useradd --create-home --shell /bin/bash dev
    "${fresh[@]}" nix-daemon >/var/log/nix-daemon.log 2>&1 &
    # Its socket is there once it answers; this asks until then.
    until [ -S /nix/var/nix/daemon-socket/socket ]; do sleep 0.1; done
    fresh=(setpriv --reuid=dev --regid=dev --init-groups
        "${fresh[@]}" HOME=/home/dev)
}

# shellcheck disable=SC2016,SC2034  # Python, which asks for a manifest
ask='
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1]) as answer:
        print(answer.status, answer.headers["Docker-Content-Digest"])
except urllib.error.HTTPError as error:
    sys.exit(f"{error}: {error.read().decode()}")
'
