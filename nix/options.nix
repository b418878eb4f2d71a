# The options that the NixOS and the home-manager module share.
{ lib, pkgs }:

let
  toml = pkgs.formats.toml { };
in
{
  enable = lib.mkEnableOption "nixeryd, a container registry of the local nixpkgs checkout";

  package = lib.mkOption {
    type = lib.types.package;
    default = pkgs.callPackage ./package.nix { };
    defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
    description = "The nixeryd to use.";
  };

  settings = lib.mkOption {
    inherit (toml) type;
    default = { };
    example = lib.literalExpression ''
      {
        sources.nixpkgs.path = "~/src/nixpkgs";
        cache.max_size = "50GB";
      }
    '';
    description = "What stands in config.toml; `nixeryd config show` lists all settings.";
  };

  environment = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    default = { };
    example = {
      NIX_PATH = "nixpkgs=/home/me/src/nixpkgs";
    };
    description = "Variables of the service, such as NIX_PATH.";
  };
}
