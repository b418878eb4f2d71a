# A package set of this machine's Debian packages, as packages.json names them.
#
# Each becomes a store path of its files that names the paths it depends on, so
# that Nix finds real references. Builders read the machine: no sandbox.
{
  system ? builtins.currentSystem,
}:

let
  inherit (builtins)
    attrValues
    concatStringsSep
    fromJSON
    mapAttrs
    readFile
    toFile
    ;

  described = fromJSON (readFile ./packages.json);

  make =
    name: depends: script:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [
        "-euc"
        ''
          mkdir -p "$out/nix-support"
          echo "${concatStringsSep " " (map toString depends)}" > "$out/nix-support/depends"
          ${script}
        ''
      ];
      allowSubstitutes = false;
      preferLocalBuild = true;
    };

  debian = mapAttrs (
    name: package:
    make package.name (map (one: debian.${one}) package.depends) ''
      tar -C / --no-recursion --mode=ug-s -cf - -T ${toFile "files" package.files} | tar -C "$out" -xf -
    ''
  ) described.packages;

  collect = name: names: make name (map (one: debian.${one}) names) "";
in
debian
// {
  closure900 = collect "closure900" described.large;
  closure100 = collect "closure100" described.small;

  # 200 directories of 100 files of a few bytes.
  files20000 = make "files20000" [ ] ''
    for directory in $(seq 200); do
      mkdir "$out/$directory"
      for file in $(seq 100); do echo "$directory/$file" > "$out/$directory/$file"; done
    done
  '';

  # One layer of 1 GB: this machine's own bytes, again and again.
  gigabyte = make "gigabyte" [ ] ''
    while :; do tar -C /usr -cf - bin lib 2> /dev/null; done | head -c 1000000000 > "$out/bytes"
  '';

  cacert = make "nss-cacert" [ ] ''
    mkdir -p "$out/etc/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/ca-bundle.crt"
  '';
  iana-etc = make "iana-etc" [ ] ''
    mkdir "$out/etc"
    echo "tcp 6 TCP" > "$out/etc/protocols"
  '';
}
