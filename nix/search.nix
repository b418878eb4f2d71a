# What a package set has: all its names, or what is to be said about some of them.
#
#   nested   JSON list of attributes that are sets of packages themselves; those that
#            the set lacks or that do not evaluate are left out
#   names    JSON list of names to describe; [] to list them all
#
# Listing forces no package: of nixpkgs it takes as long as evaluating one.
{
  source,
  system,
  nested,
  names,
  flake ? null,
  roots ? null,
  config ? null,
  overlays ? null,
}:

let
  inherit (builtins)
    attrNames
    concatMap
    deepSeq
    filter
    foldl'
    fromJSON
    isAttrs
    isString
    listToAttrs
    map
    split
    tryEval
    ;

  packageSet = import ./package-set.nix {
    inherit source system flake roots config overlays;
  };

  forced = value: tryEval (deepSeq value value);
  namesOf =
    name:
    let
      found = forced (if packageSet ? ${name} && isAttrs packageSet.${name} then attrNames packageSet.${name} else [ ]);
    in
    if found.success then map (inner: "${name}.${inner}") found.value else [ ];

  describe =
    name:
    let
      value = foldl' (set: part: set.${part}) packageSet (filter isString (split "\\." name));
      text = attribute: if isString attribute then attribute else "";
      found = forced (
        if isAttrs value && value.type or null == "derivation" then
          {
            version = text (value.version or "");
            description = text (value.meta.description or "");
          }
        else
          null
      );
    in
    if found.success then found.value else null;
in
if fromJSON names == [ ] then
  attrNames packageSet ++ concatMap namesOf (fromJSON nested)
else
  listToAttrs (
    map (name: {
      inherit name;
      value = describe name;
    }) (fromJSON names)
  )
