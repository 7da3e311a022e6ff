# The unit's own restrictions, with another program in grelot's place that tries what is forbidden.
install -m 0755 /root/sandbox-inside.sh /usr/bin/sandbox-inside
sed -e 's|^ExecStart=.*|ExecStart=/bin/bash /usr/bin/sandbox-inside|' -e 's/^Type=.*/Type=oneshot/' \
  -e '/^Restart/d' -e '/^WatchdogSec/d' -e '/^NotifyAccess/d' \
  /usr/lib/systemd/system/grelot.service > /run/systemd/system/sandbox.service
mkdir -p /home/somebody && echo secret > /home/somebody/file && chmod -R a+rX /home/somebody
systemctl daemon-reload
systemctl stop grelot
systemctl start sandbox || { journalctl --no-pager -u sandbox | tail -40; exit 1; }
rm /usr/bin/sandbox-inside /run/systemd/system/sandbox.service
systemctl daemon-reload
systemctl start grelot
systemd-analyze --no-pager security grelot.service --threshold=12 | tail -1
