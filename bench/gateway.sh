#!/bin/sh
# Measures the gateway beside nginx as a plain proxy and @portkey-ai/gateway, in
# one run: bench/gateway.md says what the figures mean. With an argument, chat or
# embeddings, it measures that alone. Needs Go, nginx
# (apt-get install nginx-light), node and npm; ports 18200 to 18203.
set -eu
cd "$(dirname "$0")/.."
command -v nginx >/dev/null || { echo "nginx is missing: apt-get install nginx-light" >&2; exit 1; }
portkey=${PORTKEY:-${TMPDIR:-/tmp}/plexus-portkey}
[ -e "$portkey/node_modules/@portkey-ai/gateway/build/start-server.js" ] ||
	npm install --prefix "$portkey" --no-audit --no-fund --legacy-peer-deps \
		@portkey-ai/gateway@1.15.2 @hono/node-server@1.13.8 >/dev/null # streams fail with the latest node-server
PLEXUS_PORTKEY="$portkey/node_modules/@portkey-ai/gateway/build/start-server.js" \
	go test ./gateway -run '^$' -bench "^BenchmarkCompare\$/^${1:-.*}\$" -benchtime 1x -timeout 10m
[ $# -gt 0 ] || PLEXUS_PORTKEY= go test ./gateway -run '^$' -bench '^BenchmarkFailover$' -benchtime 30x
