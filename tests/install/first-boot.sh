# Without a keyboard: the card was prepared on another computer. First with a mistake, then without one.
systemctl stop grelot
mv /etc/grelot/grelot.toml /root/before.toml
mkdir -p /boot/grelot
printf 'correct horse battery\n' > /boot/grelot/broker.password
cat > /boot/grelot.toml <<'END'
[store]
id = 0
END
if systemctl start grelot-first-boot; then echo "a wrong configuration was taken in"; exit 1; fi
grep -q 'store.id' /boot/grelot-refused.txt
test -e /boot/grelot.toml
test ! -e /etc/grelot/grelot.toml
cat > /boot/grelot.toml <<'END'
[store]
id = 42
name = "Rivoli"
[gateway]
name = "door"
[broker]
urls = ["mqtt://127.0.0.1:1999"]
username = "door"
password_file = "broker.password"
[tablets]
listen = "127.0.0.1:8080"
words = "/usr/share/grelot/words/de.toml"
END
systemctl start grelot-first-boot
test ! -e /boot/grelot.toml
test ! -e /boot/grelot
test ! -e /boot/grelot-refused.txt
test "$(stat -c '%a %U:%G' /etc/grelot/broker.password)" = '640 root:grelot'
systemctl start grelot
tries=0
until grelot --json status > /root/status 2> /dev/null; do
  tries=$((tries + 1))
  test $tries -lt 300
  sleep 0.2
done
sudo -u grelot grelot check | tee /root/checked
grep -q '0 errors' /root/checked
systemctl stop grelot
rm /etc/grelot/broker.password
mv /root/before.toml /etc/grelot/grelot.toml
systemctl start grelot
