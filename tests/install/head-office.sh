# Head office's package takes the place of the gateway's, with its state; what is left of the former can be
# purged; and back.
apt-get install -y /root/head-office/grelot-head-office_*.deb
dpkg-query -W -f '${db:Status-Status}\n' grelot-head-office | grep -qx installed
apt-get purge -y grelot
systemctl is-active --quiet grelot
systemctl is-enabled --quiet grelot
until_status '"visits":\[\{'
grelot fleet --help > /dev/null
apt-get install -y /root/grelot_*.deb
apt-get purge -y grelot-head-office
systemctl is-active --quiet grelot
systemctl is-enabled --quiet grelot
until_status '"visits":\[\{'
