# Packages whose builders do what a test says: `gate` names a directory of FIFOs.
{ system }:
let
  gate = builtins.getEnv "NIXERYD_TEST_GATE";
  make = name: script: derivation {
    inherit name system;
    salt = builtins.getEnv "NIXERYD_TEST_SALT";
    builder = "/bin/sh";
    args = [ "-euc" "PATH=/usr/bin:/bin; ${script}" ];
  };
  program = name: "mkdir -p $out/bin; echo 'echo ${name}' > $out/bin/${name}; chmod +x $out/bin/${name}";
  # Says each line that is written to its FIFO, until that is "end".
  told = name: make "${name}-1.0" ''
    echo '@nix {"action":"setPhase","phase":"buildPhase"}' >&2
    while IFS= read -r line && [ "$line" != end ]; do echo "$line"; done < ${gate}/${name}
    ${program name}
  '';
in
rec {
  watched = told "watched";
  restarted = told "restarted";
  flood = make "flood-1.0" "seq 1 7000; ${program "flood"}";
  broken = make "broken-1.0" "echo '<img src=x onerror=alert(1)>'; echo 'no compiler found'; exit 1";
  hello = make "hello-2.12" "${program "hello"}; head -c 3000000 /dev/zero > $out/data; ln -s ${library} $out/library";
  library = make "library-0.3" "mkdir $out; head -c 9000000 /dev/zero > $out/data; ln -s ${base} $out/base";
  base = make "base-1.0" "mkdir $out; head -c 500000 /dev/zero > $out/data";
  untouched = make "untouched-1.0" (program "untouched");
  other = make "other-1.0" "${program "other"}; ln -s ${base} $out/base";
  cacert = make "nss-cacert-3" "mkdir $out; echo certificate > $out/file";
  iana-etc = make "iana-etc-2" "mkdir $out; echo ports > $out/file";
  bashInteractive = make "bash-5" (program "bash");
  coreutils = make "coreutils-9" (program "cat");
  moreutils = make "moreutils-1" (program "sponge");
  nano = make "nano-8" (program "nano");
}
