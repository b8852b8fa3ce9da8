#!/usr/bin/env bash
# A cluster by kind, for machines with Docker and a registry. Prints the kubeconfig's path.
# Exit code 3: something is missing, and which thing it is.
#   tests/testbed/kind.sh [up|down]
set -euo pipefail

NAME=paddock-testbed
IMAGE=${KIND_IMAGE:-}
KUBECONFIG_PATH=${XDG_CACHE_HOME:-$HOME/.cache}/paddock-cluster/kind.kubeconfig

missing() {
    echo "missing: $1" >&2
    exit 3
}

command -v docker >/dev/null || missing "docker; without it, \`make cluster\` needs no registry"
command -v kind >/dev/null || missing "kind, the command"
docker info >/dev/null 2>&1 || missing "a Docker daemon that answers"

case ${1:-up} in
down)
    kind delete cluster --name "$NAME" --kubeconfig "$KUBECONFIG_PATH" >&2
    rm -f "$KUBECONFIG_PATH"
    exit
    ;;
up) ;;
*)
    echo "usage: $0 [up|down]" >&2
    exit 2
    ;;
esac

# kind knows its default image by digest only from inside; a name given here can be checked first.
if [ -n "$IMAGE" ] && ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
    docker pull --quiet "$IMAGE" >&2 || missing "the node image $IMAGE, which could not be pulled"
fi

mkdir -p "$(dirname "$KUBECONFIG_PATH")"
if ! kind get clusters 2>/dev/null | grep -qx "$NAME"; then
    log=$(mktemp)
    if ! kind create cluster --name "$NAME" --kubeconfig "$KUBECONFIG_PATH" --wait 120s \
        ${IMAGE:+--image "$IMAGE"} >"$log" 2>&1; then
        cat "$log" >&2
        grep -qi 'pull' "$log" && missing "kind's node image, which could not be pulled"
        exit 1
    fi
    rm -f "$log"
fi
kind get kubeconfig --name "$NAME" >"$KUBECONFIG_PATH"
if [ -d "$(dirname "$0")/../../crds" ]; then
    KUBECONFIG=$KUBECONFIG_PATH kubectl apply -f "$(dirname "$0")/../../crds" >&2
fi
echo "export PADDOCK_TEST_KUBECONFIG=$KUBECONFIG_PATH"
