# A customer walks in while the broker is away: the visit is open, and its alert waits.
cat >> /etc/grelot/grelot.toml <<'END'

[broker]
urls = ["mqtt://127.0.0.1:1999"]

[policy]
alert_ttl_secs = 3600

[[source]]
kind = "h4"
path = "/run/radio"
END
mkfifo -m 0644 /run/radio
chown grelot /run/radio
cat > /run/systemd/system/radio.service <<'END'
[Service]
ExecStart=/bin/bash -c 'exec > /run/radio; while :; do cat /root/advertisement; sleep 0.2; done'
Restart=always
END
systemctl start radio
systemctl restart grelot
status() { grelot --json status 2>/dev/null; }
until_status() {
  local tries=0
  until status | grep -qE "$1"; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then echo "never: $1"; grelot status; journalctl --no-pager -u grelot | tail -50; exit 1; fi
    sleep 0.2
  done
}
until_status '"visits":\[\{'
until_status '"queued":[1-9]'
visit=$(status | grep -oE '"visits":\[\{"visit":"[^"]*"')
test -n "$visit"
