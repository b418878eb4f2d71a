# From package names to derivations, in one evaluation.
#
# nixeryd calls this with nix-instantiate --eval --strict --json
# --read-write-mode: the derivations are written to the store on the way, and
# the JSON says what became of every name. Names come in as data (JSON in a
# string); nothing of a request is ever parsed as Nix.
#
#   source   path of a package set: a directory with default.nix, or a file
#   names    JSON list of names: attributes, dots walk nested sets
#   system   what to build for, such as "x86_64-linux"
#   catch    "no": let an error through, so that Nix itself tells what it is
#   flake    reference of a flake, whose packages are the package set then
#   roots    JSON list of directories whose files say what they read: see told.nix
{
  source,
  names,
  system,
  catch ? "yes",
  flake ? null,
  roots ? null,
  config ? null,
  overlays ? null,
}:

let
  inherit (builtins)
    all
    attrNames
    elem
    elemAt
    filter
    functionArgs
    head
    intersectAttrs
    isAttrs
    isFunction
    isList
    isString
    length
    listToAttrs
    map
    match
    replaceStrings
    split
    tail
    tryEval
    typeOf
    ;

  lower = [ "a" "b" "c" "d" "e" "f" "g" "h" "i" "j" "k" "l" "m" "n" "o" "p" "q" "r" "s" "t" "u" "v" "w" "x" "y" "z" ];
  upper = [ "A" "B" "C" "D" "E" "F" "G" "H" "I" "J" "K" "L" "M" "N" "O" "P" "Q" "R" "S" "T" "U" "V" "W" "X" "Y" "Z" ];
  toLower = replaceStrings upper lower;

  packageSet = import ./package-set.nix {
    inherit source system flake roots config overlays;
  };

  # --- one name ------------------------------------------------------------

  # `iana-etc` and `iana_etc` are one package in nixpkgs of different years.
  withDashes = replaceStrings [ "_" ] [ "-" ];

  foldedBy =
    fold: set:
    listToAttrs (
      map (name: {
        name = fold name;
        value = name;
      }) (attrNames set)
    );

  # The attribute that a component means, or null. Everything is lazy: the
  # maps of a whole nixpkgs are made only when nothing else matched.
  attributeFor =
    set: part:
    let
      spellings = [ part ] ++ (if match "[0-9].*" part != null then [ "_${part}" ] else [ ]);
      among =
        fold:
        let
          known = foldedBy fold set;
          found = filter (spelling: known ? ${spelling}) (map fold spellings);
        in
        map (spelling: known.${spelling}) found;
      exact = filter (spelling: set ? ${spelling}) spellings;
      lowered = among toLower;
      dashed = among (name: withDashes (toLower name));
    in
    if exact != [ ] then
      head exact
    else if lowered != [ ] then
      head lowered
    else if dashed != [ ] then
      head dashed
    else
      null;

  # Functions and lists on the way are treated as `nix-build --attr` does: a function
  # whose arguments all have defaults is called, and a number picks from a list.
  autoCall =
    value:
    let
      formals = functionArgs value;
      given = intersectAttrs formals { inherit system; };
      isCallable = all (name: formals.${name} || given ? ${name}) (attrNames formals);
    in
    if isFunction value && formals != { } && isCallable then autoCall (value given) else value;

  walk =
    within: parts: path:
    let
      set = autoCall within;
      part = head parts;
      attribute = attributeFor set part;
      step =
        value: name:
        if tail parts == [ ] then
          { value = autoCall value; }
        else
          walk value (tail parts) (path ++ [ name ]);
    in
    if isList set then
      if match "0|[1-9][0-9]{0,8}" part != null && builtins.fromJSON part < length set then
        step (elemAt set (builtins.fromJSON part)) part
      else
        { missing = [ ]; inherit path; }
    else if !isAttrs set then
      { missing = [ ]; }
    else if attribute == null then
      { missing = attrNames set; inherit path; }
    else
      step set.${attribute} attribute;

  find =
    name:
    if packageSet ? ${name} then
      { value = autoCall packageSet.${name}; }
    else
      walk packageSet (filter isString (split "\\." name)) [ ];

  describe =
    package:
    let
      meta = package.meta or { };
      all = package.outputs or [ "out" ];
      # `openssl.dev` is the same derivation with another output chosen.
      current = package.outputName or (head all);
      isChosen = package.outputSpecified or false || current != head all;
      preferred = if isChosen then [ current ] else meta.outputsToInstall or [ (head all) ];
      chosen = filter (output: elem output all) preferred;
      outputs = if chosen == [ ] then [ (head all) ] else chosen;
    in
    {
      status = "found";
      inherit (package) drvPath name;
      mainProgram = meta.mainProgram or null;
      outputs = map (output: {
        name = output;
        path = (package.${output} or package).outPath;
      }) outputs;
    };

  isDerivation = value: isAttrs value && value.type or null == "derivation";

  resolve =
    name:
    let
      found = find name;
    in
    if found ? missing then
      {
        status = "not-found";
        # For a hint: the names that were there, and where.
        siblings = found.missing;
        path = found.path or [ ];
      }
    else if !isDerivation found.value then
      {
        status = "not-a-derivation";
        type = typeOf found.value;
      }
    else
      describe found.value;

  # tryEval forces only the outermost value, so everything is forced inside it.
  guarded =
    name:
    let
      result = resolve name;
      attempt = tryEval (builtins.deepSeq result result);
    in
    if catch == "no" then
      result
    else if attempt.success then
      attempt.value
    else
      { status = "failed"; };
in
# Also for no names at all: whoever asks wants to know whether the set is one.
builtins.seq packageSet (
  listToAttrs (
    map (name: {
      inherit name;
      value = guarded name;
    }) (builtins.fromJSON names)
  )
)
