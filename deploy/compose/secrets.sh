#!/bin/sh
# The secrets that docker-compose.yml names, made once; what is there stays. Needs docker, openssl and the image
# (`docker compose build`). Others cannot enter the directory; its files can be read in the containers that are given them,
# whatever users run there.
set -eu
umask 077
cd "$(dirname "$0")/../.."
directory=${STEPSIZE_SECRETS:-./secrets}
mkdir -p "$directory"
cd "$directory"

# keep NAME: put standard input there, whole or not at all.
keep() {
    cat > ".$1"
    [ -s ".$1" ] || { echo "secrets.sh: nothing for $1" >&2; exit 1; }
    chmod 444 ".$1"
    mv ".$1" "$1"
}

[ -e grafana-admin-password ] || openssl rand -hex 24 | tr -d '\n' | keep grafana-admin-password
[ -e notify ] || echo "# Whom the nightly job tells: an address of Apprise's a line (docs/nightly.md)" | keep notify
if [ ! -e sql-password ] || [ ! -e sql-users ]; then
    openssl rand -hex 24 | tr -d '\n' | keep sql-password
    line=$(docker run --rm --interactive --network none stepsize:0.1.0 sql --hash-password grafana < sql-password)
    echo "$line" | keep sql-users
fi
if [ ! -e sql-key ] || [ ! -e sql-certificate ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=sql \
        -addext subjectAltName=DNS:sql -keyout .key -out .certificate 2> /dev/null
    keep sql-key < .key
    keep sql-certificate < .certificate
    rm .key .certificate
fi
ls
