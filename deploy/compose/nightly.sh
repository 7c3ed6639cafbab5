#!/bin/sh
# `stepsize nightly` once a day from NIGHTLY_HOUR (UTC) on, without a scheduler: each half hour it is started, and does what
# of the day is not done yet. So a restart repeats nothing, and what failed is tried again. $NIGHTLY_WELL is touched at the
# start and whenever it went well, or somebody else was at it (75).
set -u
child=
end() {
    trap - TERM INT
    [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null && wait "$child"; }
    exit 0
}
trap end TERM INT
touch "$NIGHTLY_WELL"
while :; do
    if [ "$(date -u +%H)" -ge "${NIGHTLY_HOUR:-3}" ]; then
        find "$TMPDIR" -mindepth 1 -delete # what one that was killed has left
        stepsize nightly "$@" &
        child=$!
        wait "$child"
        case $? in 0 | 75) touch "$NIGHTLY_WELL" ;; esac
    fi
    sleep "${NIGHTLY_PAUSE:-1800}" &
    child=$!
    wait "$child"
done
