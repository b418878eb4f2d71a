# home-manager: systemd's user units on Linux, a launchd agent on macOS.
#
#   imports = [ /path/to/nixeryd/nix/home-manager.nix ];
#   services.nixeryd.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.nixeryd;
  file = (pkgs.formats.toml { }).generate "nixeryd.toml" cfg.settings;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  path = lib.makeBinPath [ pkgs.git ] + ":/run/current-system/sw/bin:/usr/bin:/bin";
  environment = {
    PATH = path;
  }
  // cfg.environment;

  unit = name: {
    name = "systemd/user/${name}";
    value.source = "${cfg.package}/lib/systemd/user/${name}";
  };
  wanted = name: {
    name = "systemd/user/sockets.target.wants/${name}";
    value.source = "${cfg.package}/lib/systemd/user/${name}";
  };
  sockets = [
    "nixeryd.socket"
    "nixeryd-mirror.socket"
  ];
  # systemd wants a value in quotes, and % doubled.
  assignment =
    name: value:
    ''Environment="${name}=${lib.replaceStrings [ "\\" "\"" "%" ] [ "\\\\" "\\\"" "%%" ] value}"'';
  dropIn = name: lines: {
    name = "systemd/user/${name}.d/home-manager.conf";
    value.text = lib.concatStringsSep "\n" lines + "\n";
  };
  listens =
    name: option: more:
    lib.optional (cfg.settings ? ${option}) (
      dropIn name (
        [
          "[Socket]"
          "ListenStream="
        ]
        ++ map (address: "ListenStream=${address}") (cfg.settings.${option} ++ more)
      )
    );
in
{
  options.services.nixeryd = import ./options.nix { inherit lib pkgs; };

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];

    xdg.configFile = lib.mkMerge [
      { "nixeryd/config.toml".source = file; }
      (lib.mkIf isLinux (
        builtins.listToAttrs (
          map unit ([ "nixeryd.service" ] ++ sockets)
          ++ map wanted sockets
          ++ [ (dropIn "nixeryd.service" ([ "[Service]" ] ++ lib.mapAttrsToList assignment environment)) ]
          ++ listens "nixeryd.socket" "listen" [ "%t/nixeryd/admin.sock" ]
          ++ listens "nixeryd-mirror.socket" "mirror_listen" [ ]
        )
      ))
    ];

    launchd.agents.nixeryd = lib.mkIf (!isLinux) {
      enable = true;
      config = {
        ProgramArguments = [
          (lib.getExe cfg.package)
          "serve"
        ];
        EnvironmentVariables = environment;
        RunAtLoad = true;
        KeepAlive.SuccessfulExit = false;
        ProcessType = "Background";
      };
    };
  };
}
