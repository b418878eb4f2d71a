# In a checkout: brew install --HEAD ./packaging/homebrew/nixeryd.rb
#
# The Python packages are those that packaging/constraints.txt pins.
class Nixeryd < Formula
  include Language::Python::Virtualenv

  desc "Registry of your own Nix store, and mirror of the others, on localhost"
  license "MIT"
  head "file://#{File.expand_path("../..", __dir__)}", using: :git

  depends_on "python@3.13"

  def install
    virtualenv_create(libexec, "python3.13", without_pip: false)
    python = libexec/"bin/python"
    system python, "-m", "pip", "install", "--constraint", "packaging/constraints.txt", buildpath
    bin.install_symlink libexec/"bin/nixeryd"
    (man1/"nixeryd.1").write Utils.safe_popen_read(python, "packaging/man.py")
    generate_completions_from_executable(bin/"nixeryd", "completions", shells: [:bash, :zsh, :fish])
  end

  # On a Mac AirPlay has port 5000: `listen` in config.toml names another.
  service do
    run [opt_bin/"nixeryd", "serve"]
    keep_alive successful_exit: false
    environment_variables PATH: "#{std_service_path_env}:/nix/var/nix/profiles/default/bin"
    log_path var/"log/nixeryd.log"
    error_log_path var/"log/nixeryd.log"
  end

  def caveats
    <<~EOS
      Nix is needed: https://nixos.org/download
      To see what else is missing: nixeryd doctor
    EOS
  end

  test do
    assert_match "nixeryd", shell_output("#{bin}/nixeryd --version")
    (testpath/"config.toml").write("[cache]\nmax_size = \"1GB\"\n")
    system bin/"nixeryd", "config", "check", testpath/"config.toml"
  end
end
