# Hundreds of small packages that no store has yet: ./seed goes into each.
# Their builders use the machine's /bin/sh, so the sandbox has to be off.
{ system, ... }:

let
  seed = builtins.readFile ./seed;

  build =
    name: script:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [ "-euc" script ];
      PATH = "/usr/bin:/bin";
    };

  shared = build "shared-${seed}" ''
    mkdir -p "$out/lib"
    echo "of all, ${seed}" > "$out/lib/shared.txt"
  '';

  package =
    number:
    let
      name = "n${toString number}";
    in
    {
      inherit name;
      value = build "${name}-${seed}" ''
        mkdir -p "$out/bin" "$out/share/${name}"
        printf '#!/bin/sh\necho ${name}\n' > "$out/bin/${name}"
        chmod 755 "$out/bin/${name}"
        yes "${name} ${seed}" | head -c ${toString (1000 * (number * 7919 - number * 7919 / 300 * 300))} \
          > "$out/share/${name}/data"
        ln -s ${shared}/lib/shared.txt "$out/share/${name}/shared"
      '';
    };
in
builtins.listToAttrs (builtins.genList package 500)
// {
  # In every image.
  cacert = build "cacert" ''
    mkdir -p "$out/etc/ssl/certs"
    echo "no certificate" > "$out/etc/ssl/certs/ca-bundle.crt"
  '';
  iana-etc = build "iana-etc" ''
    mkdir -p "$out/etc"
    echo "tcp 6 TCP" > "$out/etc/protocols"
  '';
  big = build "big" "head -c 32000000 /dev/zero > $out";
  breaks = build "breaks-${seed}" "exit 3";
  throws = throw "never, ${seed}";
}
