#!/usr/bin/env bash
# A cluster of machines that you have: run this on each of them, the head first, as the user who runs maclip.
#   ./ray-start.sh head                 on one machine
#   ./ray-start.sh worker HEAD_ADDRESS  on each other one
#   maclip archive SOURCE --out FOLDER --address auto    on the head
#   ray stop                            on each, afterwards
# Whoever reaches Ray's ports may run code: keep the machines in a network of their own, and let Ray ask for a token
# (`ray get-auth-token --generate`, the same ~/.ray/auth_token on each machine, RAY_AUTH_MODE=token).
set -euo pipefail
port=6379
case "${1:-}" in
    head) exec ray start --head --disable-usage-stats --port="$port" --object-store-memory=2000000000 ;;
    worker) exec ray start --disable-usage-stats --address="${2:?the address of the head is missing}:$port" --object-store-memory=2000000000 ;;
    *) echo "usage: $0 head | $0 worker HEAD_ADDRESS" >&2; exit 2 ;;
esac
