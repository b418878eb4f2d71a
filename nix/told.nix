# `import`, with builtins that say what they read.
#
# Nix tells which files it evaluates and which it copies to the store, but nothing of
# readFile, readDir, pathExists, getEnv and the like. So a package set is imported with
# its own version of each builtin that reads something: it does the same, and prints
#
#   trace: nixeryd-reads:["KIND",WHAT]
#
# These are in the scope of every file that is imported from below `roots`. What is
# outside of them is imported by Nix's own `import`, after "untold" says so: the caller
# asks again, with another root.
#
#   roots   list of directories, or files of the store; absolute paths as strings
{ roots }:

let
  inherit (builtins)
    attrNames
    filter
    foldl'
    hasContext
    head
    intersectAttrs
    isAttrs
    isString
    listToAttrs
    map
    mapAttrs
    readDir
    seq
    split
    stringLength
    substring
    toJSON
    trace
    typeOf
    unsafeDiscardStringContext
    ;

  say = kind: what: trace "nixeryd-reads:${toJSON [ kind what ]}";

  # Nor toJSON nor interpolation of a path: both copy it to the store.
  text = value: unsafeDiscardStringContext (toString value);

  # Of a fetcher's arguments, those that are no sets or lists.
  plain =
    arguments:
    let
      isPlain = value: builtins.elem (typeOf value) [ "bool" "int" "null" "path" "string" ];
      kept = filter (name: isPlain arguments.${name}) (attrNames arguments);
    in
    if isAttrs arguments then
      listToAttrs (map (name: { inherit name; value = text arguments.${name}; }) kept)
    else
      { url = text arguments; };

  reads = kind: function: path: say kind (text path) (function path);
  fetches = name: arguments: say "fetch" ({ builtin = name; } // plain arguments) (builtins.${name} arguments);
  surprises = name: argument: say "unknown" name (builtins.${name} argument);

  # Of these Nix has what it has, by version and settings.
  told = intersectAttrs builtins (
    {
      import = load;
      scopedImport = added: path: say "file" (text path) (builtins.scopedImport (scope // added) path);
      readFile = reads "file" builtins.readFile;
      hashFile = algorithm: reads "file" (builtins.hashFile algorithm);
      readDir = reads "directory" readDir;
      pathExists = reads "status" builtins.pathExists;
      readFileType = reads "status" builtins.readFileType;
      path = arguments: say "tree" (text arguments.path) (builtins.path arguments);
      filterSource = keep: reads "tree" (builtins.filterSource keep);
      findFile =
        places: name:
        say "find" {
          inherit name;
          places = map (place: { path = text place.path; prefix = place.prefix or ""; }) places;
        } (builtins.findFile places name);
      getEnv = name: say "variable" name (builtins.getEnv name);
      currentTime = say "unknown" "currentTime" builtins.currentTime;
    }
    // listToAttrs (
      map (name: { inherit name; value = fetches name; }) [
        "fetchGit"
        "fetchMercurial"
        "fetchTarball"
        "fetchTree"
        "fetchurl"
        "getFlake"
      ]
      ++ map (name: { inherit name; value = surprises name; }) [ "exec" "fetchClosure" "importNative" ]
    )
  );

  watched = builtins // told // { builtins = watched; };

  # Some are there without `builtins.`; one more would hide what `with` brings.
  bare = intersectAttrs {
    fetchGit = null;
    fetchMercurial = null;
    fetchTarball = null;
    fetchTree = null;
    import = null;
    scopedImport = null;
  } told;
  underlined = listToAttrs (map (name: { name = "__${name}"; value = told.${name}; }) (attrNames told));
  scope = underlined // bare // { builtins = watched; };

  # Nix evaluates a file once, however often it is imported, but not in a scope of
  # ours. So each root is a tree of lazy values, read and evaluated once when needed.
  tree = path: type: rec {
    below = mapAttrs (name: tree "${path}/${name}") (readDir path);
    value =
      if type == "directory" && below ? "default.nix" then
        below."default.nix".value
      else
        say "file" path (builtins.scopedImport scope path);
  };
  trees = map (root: {
    inherit root;
    start = stringLength root;
    # What import-from-derivation makes may be a file.
    tree = tree root (if builtins.pathExists "${root}/." then "directory" else "regular");
  }) roots;

  load =
    path:
    let
      place = toString (/. + text path); # without `..`
      around = filter (one: place == one.root || substring 0 (one.start + 1) place == "${one.root}/") trees;
      parts = filter (part: isString part && part != "") (
        split "/" (substring (head around).start (stringLength place) place)
      );
      step = at: part: if at == null then null else at.below.${part} or null;
      found = foldl' step (head around).tree parts;
      # A string that a derivation made has to be built first, which this does.
      ready = if hasContext (toString path) then seq (builtins.pathExists path) else value: value;
      untold = say "untold" place (import path);
    in
    if around == [ ] then untold else ready (if found == null then untold else found.value);
in
load
