# The demo set: packages made of this machine's own programs.
#
# It needs no network and no nixpkgs. nixeryd writes programs.json beside this
# file: which programs and libraries there are, and where. Each of them is
# copied into the store as it is; the derivations only put them into place, run
# by the machine's own bash through the machine's own loader, so that a sandbox
# without /bin/sh is no obstacle.
#
# Programs keep the paths they were linked for: /lib64/ld-linux… and the
# libraries become links in the package, and so in the root of an image.
{
  system ? null,
}:

let
  inherit (builtins)
    attrNames
    baseNameOf
    concatStringsSep
    elem
    filter
    fromJSON
    isString
    mapAttrs
    match
    readFile
    replaceStrings
    split
    storeDir
    storePath
    stringLength
    substring
    ;

  machine = fromJSON (readFile ./programs.json);
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  quote = text: "'" + replaceStrings [ "'" ] [ "'\\''" ] text + "'";

  # A store path's name allows few characters: "[" is a program, too.
  storeName =
    path:
    let
      clean = concatStringsSep "-" (filter isString (split "[^a-zA-Z0-9+._?=-]+" (baseNameOf path)));
    in
    if match "[a-zA-Z0-9+_?=-].*" clean == null then "file${clean}" else clean;

  # What is in the store already stays where it is (a machine with NixOS).
  isStored = hasPrefix "${storeDir}/";
  fetch =
    path:
    if isStored path then
      storePath path
    else
      builtins.path {
        inherit path;
        name = storeName path;
      };

  # Other people's modules, tests and byte code are not the standard library.
  dropped = [
    "__pycache__"
    "dist-packages"
    "ensurepip"
    "idlelib"
    "site-packages"
    "sitecustomize.py"
    "test"
    "tests"
    "tkinter"
    "turtledemo"
  ];
  fetchLibrary =
    path:
    if isStored path then
      storePath path
    else
      builtins.path {
        inherit path;
        name = storeName path;
        filter =
          file: _type:
          !elem (baseNameOf file) dropped && match "config-.*|_tkinter.*|_test.*|_xxtest.*|_ctypes_test.*" (baseNameOf file) == null;
      };

  # --- building ------------------------------------------------------------

  tools = mapAttrs (_name: fetch) machine.tools.programs;
  loader = if machine.tools.loader == null then null else fetch machine.tools.loader;
  preload = concatStringsSep " " (map fetch machine.tools.libraries);

  # bash, with the libraries it needs named one by one: in the store they have
  # not the names a loader would look for, but it knows them by their soname.
  launcher = if loader == null then [ ] else [ loader "--preload" preload ];

  prelude = ''
    run() { ${concatStringsSep " " (map quote launcher)} "$@"; }
    place() { run ${tools.mkdir} -p "''${1%/*}"; }
    copy() { place "$out/$2"; run ${tools.cp} "$1" "$out/$2"; }
    link() { place "$out/$2"; run ${tools.ln} -s "$1" "$out/$2"; }
    script() { place "$out/$2"; printf %s "$1" > "$out/$2"; run ${tools.chmod} 555 "$out/$2"; }
    run ${tools.mkdir} -p "$out"
  '';

  make =
    name: package: script:
    let
      each = verb: fetcher: set: map (to: "${verb} ${quote (fetcher set.${to})} ${quote to}") (attrNames set);
      lines =
        each "copy" fetch package.copies
        ++ each "link" fetch package.shared
        ++ each "link" fetchLibrary package.trees
        ++ each "link" (target: target) package.links;
      call = launcher ++ [ tools.bash ];
    in
    derivation {
      name = "${name}-demo";
      inherit (machine) system;
      builder = builtins.head call;
      args = builtins.tail call ++ [
        "-euc"
        (concatStringsSep "\n" ([ prelude ] ++ lines ++ [ script ]))
      ];
      # No cache has these, and asking one would only take time.
      allowSubstitutes = false;
      preferLocalBuild = true;
    }
    // {
      meta = {
        inherit (package) description;
      }
      // (if package.mainProgram == null then { } else { inherit (package) mainProgram; });
    };

  package =
    name: script:
    let
      found = machine.packages.${name};
    in
    if system != null && system != machine.system then
      throw "the demo set has no packages for ${system}: it is made of this machine's programs, and they are for ${machine.system}"
    else if found.missing != null then
      throw found.missing
    else
      make name found script;

  plain = mapAttrs (name: _: package name "") machine.packages;
in
plain
// {
  hello =
    let
      greeting = ''
        #!${plain.bashInteractive}/bin/bash
        # Greet the world, or whom you name.
        printf 'Hello, %s!\n' "''${1:-world}"
      '';
    in
    package "hello" "script ${quote greeting} bin/hello";
}
