# A directory with one file, `store-paths`, that lists a closure and refers to it.
#
# Nix finds references in what a builder writes, and only a builder's output has
# some. The builder is Nix's own: no shell, no package set, and a sandbox or none.
#
#   archive   path of a tar archive with the file `store-paths`
#   roots     JSON list of store paths; all that they refer to can be listed
{ archive, roots }:

derivation {
  name = "closure-list";
  system = "builtin";
  builder = "builtin:unpack-channel";
  channelName = "store-paths";
  src = builtins.path {
    path = archive;
    name = "store-paths.tar";
  };
  roots = map builtins.storePath (builtins.fromJSON roots);
  # Here, and by nobody else: it takes no time.
  preferLocalBuild = true;
  allowSubstitutes = false;
}
