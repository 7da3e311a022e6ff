# An older package refuses a newer state before it replaces anything.
systemctl stop grelot
cp -a /var/lib/grelot/grelot.db /root/grelot.db
printf '\0\0\0\143' | dd of=/var/lib/grelot/grelot.db bs=1 seek=60 conv=notrunc status=none
if apt-get install -y --allow-downgrades /root/grelot_*.deb > /root/refused 2>&1; then
  echo "an older package was installed over a newer state"
  exit 1
fi
cat /root/refused
grep -q 'has form 99' /root/refused
dpkg-query -W -f '${Version}\n' grelot | grep -qx '.*+next'
cp -a /root/grelot.db /var/lib/grelot/grelot.db
apt-get install -y --allow-downgrades /root/grelot_*.deb
systemctl is-active --quiet grelot
rm -f /root/grelot.db /root/grelot-backup.tar.gz
