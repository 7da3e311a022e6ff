# The new version runs, knows the visit, and has the alert, which the broker gets once.
dpkg-query -W -f '${Version}\n' grelot | grep -qx '.*+next'
systemctl is-active --quiet grelot
until_status '"visits":\[\{'
test "$(status | grep -oE '"visits":\[\{"visit":"[^"]*"')" = "$visit"
until_status '"queued":[1-9]'
apt-get install -y mosquitto mosquitto-clients > /dev/null
systemctl stop mosquitto
printf 'listener 1999 127.0.0.1\nallow_anonymous true\n' > /run/broker.conf
# It is refused until the broker listens; then it is there before the daemon, which waits longer.
subscribe() {
  for _ in $(seq 400); do
    local code=0
    mosquitto_sub -V 5 -p 1999 -t 'grelot/v1/42/arrivals' -W 20 > /root/arrivals 2> /dev/null || code=$?
    [ $code = 1 ] || return 0
    sleep 0.05
  done
}
subscribe &
subscriber=$!
systemd-run --quiet --unit=broker /usr/sbin/mosquitto -c /run/broker.conf
wait $subscriber
cat /root/arrivals
test "$(grep -c '"client":"c-trial"' /root/arrivals)" = 1

# systemd's watchdog restarts a daemon that hangs.
before=$(systemctl show --value --property MainPID grelot)
systemctl kill --signal STOP grelot
tries=0
until after=$(systemctl show --value --property MainPID grelot) && [ "$after" != 0 ] && [ "$after" != "$before" ]; do
  tries=$((tries + 1))
  test $tries -lt 300
  sleep 0.2
done
until_status '"visits":\[\{'
