# The package set of a source: an attribute set, whatever the source is written like.
#
#   source   path of a directory with default.nix, or of a file
#   system   what to build for
#   flake    reference of a flake, whose packages are the package set then
#   roots    JSON list of directories whose files say what they read: see told.nix
#   config   JSON of nixpkgs' configuration
#   overlays JSON list of files or directories that are overlays
{
  source,
  system,
  flake ? null,
  roots ? null,
  config ? null,
  overlays ? null,
}:

let
  inherit (builtins)
    attrNames
    filter
    fromJSON
    functionArgs
    head
    intersectAttrs
    isAttrs
    isFunction
    isList
    listToAttrs
    map
    match
    parseDrvName
    pathExists
    toXML
    typeOf
    ;

  # What the user's own ~/.config/nixpkgs says is left out on purpose: an image
  # is made of its name and its source, and of nothing else.
  wanted = {
    inherit system;
    config = if config == null then { } else fromJSON config;
    overlays = map (path: load (/. + path)) (if overlays == null then [ ] else fromJSON overlays);
  };
  given =
    (if wanted.config == { } then [ ] else [ "config" ]) ++ (if wanted.overlays == [ ] then [ ] else [ "overlays" ]);

  # A function gets what it asks for and no more. `args: …` and `{ ... }: …`
  # ask for nothing by name and take all; only `{ }: …` takes nothing at all,
  # and toXML is the one primitive that tells these apart.
  call =
    function:
    let
      formals = functionArgs function;
      pattern = toXML function;
      refused = filter (name: !(formals ? ${name})) given;
      takesAll = match ".*<varpat.*" pattern != null || match ".*<attrspat[^>]*ellipsis=.*" pattern != null;
    in
    # What is set and has no effect is a mistake, and no image should hide it.
    if !takesAll && refused != [ ] then
      throw "${source} takes no argument ${head refused}, which sources.….${head refused} is for"
    else
    function (if formals == { } && takesAll then wanted else intersectAttrs formals wanted);

  load = if roots == null then import else import ./told.nix { roots = fromJSON roots; };
  imported = if flake == null then load source else fromFlake;
  called =
    if isFunction imported then
      call imported
    else if given != [ ] then
      throw "${source} is no function and takes no ${head given}, so sources.….${head given} has no effect"
    else
      imported;
  packageSet =
    if isList called then
      named called
    else if isDerivation called then
      # A project's default.nix is often its only package.
      called // named [ called ] // { default = called; }
    else
      called;

  isDerivation = value: isAttrs value && value.type or null == "derivation";

  # Packages in a list have the names they give themselves.
  named =
    packages:
    listToAttrs (
      map (package: {
        name = package.pname or (parseDrvName package.name).name;
        value = package;
      }) (filter isDerivation packages)
    );

  # What an image of a flake may hold: its packages, and those of the nixpkgs that it
  # is locked to, for a shell and the certificates.
  fromFlake =
    let
      locked = builtins.getFlake flake;
      of = outputs: outputs.legacyPackages.${system} or { } // outputs.packages.${system} or { };
      # Such inputs are looked up anew each time.
      isLocked = attrNames (locked.inputs or { }) == [ ] || pathExists "${locked}/flake.lock";
      told = if isLocked then of else builtins.trace ''nixeryd-reads:["unknown","getFlake"]'' of;
      old = locked.defaultPackage.${system} or null;
    in
    told (locked.inputs.nixpkgs or { })
    // (if old == null then { } else { default = old; })
    // of locked;
in
# A list or a string would fail later, and with less to say.
if isAttrs packageSet then
  packageSet
else
  throw "${if flake == null then source else flake} is no package set: it evaluates to a ${typeOf packageSet}"
