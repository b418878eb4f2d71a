# A package set for tests: odd files, and packages that fail in every way.
# Its builders use the machine's /bin/sh, so the sandbox has to be off.
{ system, ... }:

let
  build =
    name: script:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [ "-euc" script ];
      PATH = "/usr/bin:/bin";
    };

  library = build "library" ''
    mkdir -p "$out/lib"
    echo "shared by others" > "$out/lib/library.txt"
  '';

  long = builtins.concatStringsSep "" (builtins.genList (_: "long-name-") 12);
in
{
  # In every image.
  cacert = build "cacert" ''
    mkdir -p "$out/etc/ssl/certs"
    echo "no certificate" > "$out/etc/ssl/certs/ca-bundle.crt"
  '';
  iana-etc = build "iana-etc" ''
    mkdir -p "$out/etc"
    echo "tcp 6 TCP" > "$out/etc/protocols"
  '';

  # Everything that a file tree of the store can hold.
  curious = build "curious" ''
    mkdir -p "$out/bin" "$out/empty/still-empty" "$out/${long}/${long}/${long}"
    printf '#!/bin/sh\necho curious\n' > "$out/bin/curious"
    chmod 755 "$out/bin/curious"
    : > "$out/nothing-in-it"
    head -c 1500001 /dev/zero > "$out/large"
    echo "deep" > "$out/${long}/${long}/${long}/file"
    echo "one of two" > "$out/one"
    ln "$out/one" "$out/two"
    ln -s one "$out/to-one"
    ln -s /nowhere/at/all "$out/dangling"
    ln -s "${long}/${long}/${long}/file" "$out/to-deep"
    ln -s ${library}/lib/library.txt "$out/to-library"
    echo spaced > "$out/a name with spaces"
    echo "Umlaut" > "$out/ä"
    echo "not UTF-8" > "$(printf '%s/\377' "$out")"
  '';

  # Slow enough that others ask while it is built.
  slow = build "slow" ''
    sleep 2
    mkdir -p "$out/bin"
    echo slow > "$out/bin/slow"
  '';

  # Bad in every way.
  breaks = build "breaks" ''
    echo "configuring with love"
    echo "the last line before the end" >&2
    exit 3
  '';
  throws = throw "this package is only for paying customers";
  not-a-package = {
    inner = "text";
  };
}
