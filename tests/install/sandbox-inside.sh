# Runs in the daemon's place: every line must fail, but the first.
touch /var/lib/grelot/allowed || { echo "the state folder cannot be written"; exit 1; }
rm /var/lib/grelot/allowed

refused() {
  local what=$1
  shift
  if "$@" 2>/dev/null; then echo "NOT REFUSED: $what"; failed=1; else echo "refused: $what"; fi
}
failed=0
refused "reading a home" cat /home/somebody/file
refused "writing the configuration" touch /etc/grelot/file
refused "writing the program" touch /usr/bin/grelot
refused "writing elsewhere in /var" touch /var/tmp/../lib/file
refused "a raw IP socket" perl -e 'socket(S, 2, 3, 1) or exit 1'
refused "a Bluetooth socket" perl -e 'socket(S, 31, 3, 1) or exit 1'
refused "a packet socket" perl -e 'socket(S, 17, 3, 0) or exit 1'
refused "loading a module" perl -e 'syscall(175, 0, 0, 0) == 0 or exit 1'
refused "becoming root" sudo -n true
refused "becoming root by setuid" perl -e '$< = 0; $> = 0; exit($> != 0)'
refused "a user namespace" unshare -U true
refused "mounting" mount -t tmpfs none /mnt
refused "tracing another process" perl -e 'syscall(101, 16, 1, 0, 0) == 0 or exit 1'
refused "setting the clock" perl -e 'syscall(227, 0, pack("qq", 1, 0)) == 0 or exit 1'
refused "memory that is written and run" perl -e 'my $p = syscall(9, 0, 4096, 7, 34, -1, 0); exit($p == -1)'
exit $failed
