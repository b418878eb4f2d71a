# NixOS: every user of the machine has the sockets, and a daemon of their own once they ask.
#
#   imports = [ /path/to/nixeryd/nix/nixos.nix ];
#   services.nixeryd.enable = true;
#
# All users share the ports, so this is for machines with one developer at a time.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.nixeryd;
  file = (pkgs.formats.toml { }).generate "nixeryd.toml" cfg.settings;
  # "" first: an empty assignment forgets what the shipped unit lists.
  streams = name: lib.optionals (cfg.settings ? ${name}) ([ "" ] ++ cfg.settings.${name});
in
{
  options.services.nixeryd = import ./options.nix { inherit lib pkgs; };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    # The units come with the package; what follows becomes drop-ins.
    systemd.packages = [ cfg.package ];
    systemd.user.sockets.nixeryd = {
      wantedBy = [ "sockets.target" ];
      listenStreams = lib.optionals (cfg.settings ? listen) (
        streams "listen" ++ [ "%t/nixeryd/admin.sock" ]
      );
    };
    systemd.user.sockets.nixeryd-mirror = {
      wantedBy = [ "sockets.target" ];
      listenStreams = streams "mirror_listen";
    };
    systemd.user.services.nixeryd = {
      inherit (cfg) environment;
      path = [
        config.nix.package
        pkgs.git
      ];
      serviceConfig.ExecStart = [
        ""
        "${lib.getExe cfg.package} serve --config=${file}"
      ];
    };
  };
}
