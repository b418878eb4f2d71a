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
{
  source,
  names,
  system,
  catch ? "yes",
  flake ? null,
}:

let
  inherit (builtins)
    attrNames
    elem
    filter
    head
    isAttrs
    isString
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

  packageSet = import ./package-set.nix { inherit source system flake; };

  # --- one name ------------------------------------------------------------

  byLowerCase =
    set:
    listToAttrs (
      map (name: {
        name = toLower name;
        value = name;
      }) (attrNames set)
    );

  # The attribute that a component means, or null. Lists are lazy: the
  # lower-case map of a whole nixpkgs is made only when nothing else matched.
  attributeFor =
    set: part:
    let
      spellings = [ part ] ++ (if match "[0-9].*" part != null then [ "_${part}" ] else [ ]);
      exact = filter (spelling: set ? ${spelling}) spellings;
      folds = byLowerCase set;
      folded = filter (spelling: folds ? ${spelling}) (map toLower spellings);
    in
    if exact != [ ] then
      head exact
    else if folded != [ ] then
      folds.${head folded}
    else
      null;

  walk =
    set: parts: path:
    let
      attribute = attributeFor set (head parts);
    in
    if !isAttrs set then
      { missing = [ ]; }
    else if attribute == null then
      { missing = attrNames set; inherit path; }
    else if tail parts == [ ] then
      { value = set.${attribute}; }
    else
      walk set.${attribute} (tail parts) (path ++ [ attribute ]);

  find =
    name:
    if packageSet ? ${name} then
      { value = packageSet.${name}; }
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
